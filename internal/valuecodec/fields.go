package valuecodec

import (
	"cmp"
	"reflect"
	"slices"

	"github.com/vmihailenco/tagparser/v2"
)

// record finds the fields of a struct that the library writes, in its order and under its names.
func (s *surveyor) record(sh *shape, t reflect.Type, at place) error {
	sh.kind = record
	if hidden(t) {
		return at.refuse("%s has no exported field, so it would come back empty; give it MarshalBinary and UnmarshalBinary, or leave it out (`msgpack:\"-\"`)", t)
	}
	sh.named = map[string]field{}
	omitsAll := false
	for f := range t.Fields() {
		tag := tagparser.Parse(f.Tag.Get("msgpack"))
		omitsAll = omitsAll || f.Name == "_msgpack" && tag.HasOption("omitempty") // the library's name for the option of all fields that follow
		if tag.Name == "-" || !f.IsExported() && !f.Anonymous {
			continue
		}
		at := at.in("."+f.Name, at.addressable)
		found, err := s.shape(f.Type, at)
		if err != nil {
			return err
		}
		switch omits := omitsAll || tag.HasOption("omitempty"); {
		case tag.HasOption("intern"):
			return at.refuse("its tag has intern, which a kept value cannot have; leave it out")
		case omits && loses(f.Type, found):
			return at.refuse("omitempty would leave out what is not the zero %s, too; leave omitempty out", f.Type)
		}
		own := field{name: cmp.Or(tag.Name, f.Name), index: f.Index, shape: found}
		inlined, err := embed(sh, own, f, tag, at)
		if err == nil && !inlined {
			err = sh.add(own, at)
		}
		if alias, ok := tag.Options["alias"]; ok && err == nil && !inlined {
			err = sh.name(alias, own, at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// loses reports whether omitempty may leave out more than the type's zero value. The library looks at what an
// interface holds, calls IsZero of what a pointer points to, and treats a struct without exported fields as empty.
func loses(t reflect.Type, s *shape) bool {
	zeroes := t.Implements(reflect.TypeFor[interface{ IsZero() bool }]())
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer:
		return zeroes
	case reflect.Struct:
		return s.kind == opaque && hidden(t) && !zeroes
	}
	return false
}

// embed adds the fields of an embedded struct, if they are written as the outer struct's.
func embed(sh *shape, own field, f reflect.StructField, tag *tagparser.Tag, at place) (bool, error) {
	switch {
	case !f.Anonymous:
		return false, nil
	case !f.IsExported() && own.shape.kind != record:
		return false, at.refuse("an embedded %s that is not exported cannot be read; give the field a name, or leave it out (`msgpack:\"-\"`)", f.Type)
	case tag.HasOption("noinline"):
		return false, nil
	case own.shape.kind == pointer:
		return false, at.refuse("an embedded pointer that is nil would come back as one to an empty value; embed %s, or tag it `msgpack:\",noinline\"`", f.Type.Elem())
	case own.shape.kind != record:
		return false, nil
	}
	shadowed := func(inner field) bool { _, there := sh.named[inner.name]; return there }
	if slices.ContainsFunc(own.shape.fields, shadowed) && !tag.HasOption("inline") {
		return false, nil
	}
	for _, inner := range own.shape.fields {
		if shadowed(inner) {
			return true, at.refuse("its %s is hidden by the outer one, and would come back empty; tag it `msgpack:\",noinline\"`", inner.name)
		}
		inner.index = slices.Concat(own.index, inner.index)
		if err := sh.add(inner, at); err != nil {
			return true, err
		}
	}
	return true, sh.name(own.name, own, at)
}

func (s *shape) add(f field, at place) error {
	s.fields = append(s.fields, f)
	return s.name(f.name, f, at)
}

func (s *shape) name(name string, f field, at place) error {
	if _, there := s.named[name]; there {
		return at.refuse("another field is written as %q, too, so one of them would be lost; name it in a tag (`msgpack:\"other\"`), or tag an embedded struct `msgpack:\",noinline\"`", name)
	}
	s.named[name] = f
	return nil
}
