package cache

import (
	"fmt"
	"strconv"
)

// word is a part of the text and where it begins.
type word struct {
	text   string
	column int
}

func (w word) fault(format string, args ...any) error {
	return &syntaxError{w.column, fmt.Sprintf(format, args...)}
}

// splitWords splits at spaces and tabs outside quotes; what follows a "#" at the beginning of a word is a comment.
func splitWords(text string) ([]word, error) {
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
