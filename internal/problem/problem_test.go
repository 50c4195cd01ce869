package problem

import (
	"net/http/httptest"
	"testing"
)

func TestWrite(t *testing.T) {
	for _, c := range []struct {
		status              int
		title, detail, want string
	}{
		{422, "Limit exceeded", "at most 5 \"series\"", `{"type":"urn:weir:problem:limit-exceeded","title":"Limit exceeded","status":422,"detail":"at most 5 \"series\""}`},
		{503, "", "", `{"type":"about:blank","title":"Service Unavailable","status":503}`},
		{400, "Can't read: the body!", "x", `{"type":"urn:weir:problem:can-t-read-the-body","title":"Can't read: the body!","status":400,"detail":"x"}`},
	} {
		w := httptest.NewRecorder()
		w.Header().Set("Retry-After", "3")
		w.Header().Set("Content-Length", "1")
		Write(w, c.status, c.title, c.detail)
		if w.Code != c.status || w.Body.String() != c.want+"\n" {
			t.Errorf("got %d %s; want %d %s", w.Code, w.Body, c.status, c.want)
		}
		h := w.Result().Header
		if h.Get("Content-Type") != ContentType || h.Get("Retry-After") != "3" || h.Get("Content-Length") != "" {
			t.Errorf("headers are %v", h)
		}
	}
}
