// Package problem owns how Weir's HTTP API says that a request failed: as
// problem details, RFC 9457.
//
// It refuses to decide what is an error, and imports nothing of Weir.
package problem

import (
	"encoding/json"
	"net/http"
	"strings"
	"unicode"
)

// ContentType is the media type of problem details.
const ContentType = "application/problem+json"

// Write answers with problem details. The title names the kind of problem and
// stays the same for all of a kind; the detail is about this request, and says
// how to mend it. The details' type is "urn:weir:problem:" and the title in
// lower case with hyphens. An empty title stands for a problem of which
// nothing is known but its status. Headers that the caller set before, such as
// Retry-After, are kept.
func Write(w http.ResponseWriter, status int, title, detail string) {
	kind := "about:blank"
	if title == "" {
		title = http.StatusText(status)
	} else {
		kind = "urn:weir:problem:" + slug(title)
	}
	body, err := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail,omitempty"`
	}{kind, title, status, detail})
	if err != nil {
		panic("problem: strings and an integer have no JSON: " + err.Error())
	}
	header := w.Header()
	header.Set("Content-Type", ContentType)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Del("Content-Length")
	w.WriteHeader(status)
	// A client that has gone away can't be told that it has.
	_, _ = w.Write(append(body, '\n'))
}

func slug(title string) string {
	words := strings.FieldsFunc(strings.ToLower(title), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	return strings.Join(words, "-")
}
