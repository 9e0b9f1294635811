package cache

import (
	"fmt"
	"strconv"
	"strings"
)

// word is a part of the text and where it begins.
type word struct {
	text   string
	column int
}

func (w word) fault(format string, args ...any) error {
	return &syntaxError{w.column, fmt.Sprintf(format, args...)}
}

// byteOrderMark is what some editors put in front of UTF-8.
const byteOrderMark = "\ufeff"

// isUTF16 reports whether the text begins as UTF-16 does, whose other lines say no more than the first.
func isUTF16(text string) bool {
	return strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff")
}

// checkText refuses text that tools would not agree on: what one shows as another line, one shows as the rest of a comment.
func checkText(text string) error {
	if isUTF16(text) {
		return &syntaxError{1, "this is UTF-16; save the text as UTF-8"}
	}
	switch i := strings.IndexAny(text, "\x00\r"); {
	case i < 0:
		return nil
	case text[i] == 0:
		return &syntaxError{i + 1, "there is a NUL byte; save the text as UTF-8"}
	default:
		return &syntaxError{i + 1, "there is a carriage return that ends no line; end lines with LF or CRLF"}
	}
}

// splitWords splits at spaces and tabs outside quotes; what follows a "#" at the beginning of a word is a comment.
func splitWords(text string) ([]word, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	var words []word
	for i := 0; i < len(text); {
		if text[i] == ' ' || text[i] == '\t' {
			i++
			continue
		}
		if text[i] == '#' {
			break
		}
		end, err := wordEnd(text, i)
		if err != nil {
			return nil, err
		}
		words = append(words, word{text[i:end], i + 1})
		i = end
	}
	return words, nil
}

func wordEnd(text string, i int) (int, error) {
	for i < len(text) && text[i] != ' ' && text[i] != '\t' {
		if text[i] != '"' {
			i++
			continue
		}
		quoted, err := strconv.QuotedPrefix(text[i:])
		if err != nil {
			return 0, &syntaxError{i + 1, "a quote is not closed or holds an invalid escape; quote as in Go"}
		}
		i += len(quoted)
	}
	return i, nil
}
