package redisstore

import (
	"errors"
	"fmt"
	"regexp"
	"runtime/debug"
	"strings"
)

// maxPrefix is room for any module's path.
const maxPrefix = 256

// prefixName leaves out braces, which say on a cluster which keys live together, and what patterns of an access list are
// made of.
var prefixName = regexp.MustCompile(`^[A-Za-z0-9._~+/:@-]+$`)

var errNoPrefix = errors.New("Options.Prefix is empty and none can be made of the app's module, because this binary has no " +
	"module path of its own (a test, a plugin, a program run from single files); set Prefix to the app's name, the same in every " +
	"process that shares or purges its answers")

// setPrefix makes the Prefix of the main module's path where there is none: two apps on one Redis that were told nothing
// must not read each other's answers.
func (o *Options) fillPrefix() (derived bool, err error) {
	switch {
	case o.Prefix == "":
		info, _ := debug.ReadBuildInfo()
		o.Prefix, derived = modulePath(info), true
		if o.Prefix == "" {
			return true, errNoPrefix
		}
	case len(o.Prefix) > maxPrefix || !prefixName.MatchString(o.Prefix):
		return false, fmt.Errorf(`Options.Prefix is %.300q; use at most %d letters, digits and "._~+/:@-"`, o.Prefix, maxPrefix)
	}
	return derived, nil
}

// modulePath is the path of the module that the running program was built from, or "". A test's binary has one, too: its
// app's, whose answers are not the test's.
func modulePath(info *debug.BuildInfo) string {
	if info == nil || strings.HasSuffix(info.Path, ".test") || !prefixName.MatchString(info.Main.Path) || len(info.Main.Path) > maxPrefix {
		return ""
	}
	return info.Main.Path
}

// Warning tells that the keys' prefix was made up, and which it is; nil where Options name one.
func (s *shared) Warning() error {
	if !s.prefixDerived {
		return nil
	}
	return fmt.Errorf("redisstore: Options.Prefix is empty, so keys begin with %q, the main module's path; whoever shares or "+
		"purges these answers must use the same Prefix, and another app of this module one of its own", s.prefixOption)
}
