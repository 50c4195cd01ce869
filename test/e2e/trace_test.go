package e2e

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// systemCall is one call of a trace as strace -f -y writes it. Begin and end
// are lines of the trace: another thread's calls may lie between.
type systemCall struct {
	name, text, result string
	begin, end         int
}

var (
	beginning = regexp.MustCompile(`^(\d+) +([a-z0-9_]+)\((.*)$`)
	resuming  = regexp.MustCompile(`^(\d+) +<\.\.\. ([a-z0-9_]+) resumed>(.*)$`)
	ending    = regexp.MustCompile(`\) += (-?\d+)`)
	decoded   = regexp.MustCompile(`^\d+<([^>]*)>`)
	quoted    = regexp.MustCompile(`"([^"]*)"`)
)

// parseTrace gives the calls in the order in which they ended. One that never
// ended is left out.
func parseTrace(trace string) []systemCall {
	var calls []systemCall
	open := map[string]systemCall{} // by thread
	n := 0
	for line := range strings.Lines(trace) {
		n++
		thread, call := "", systemCall{}
		if m := beginning.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			thread, call = m[1], systemCall{name: m[2], text: m[3], begin: n}
		} else if m := resuming.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			thread, call = m[1], open[m[1]]
			call.text = strings.TrimSuffix(strings.TrimSpace(call.text), "<unfinished ...>") + m[3]
		}
		switch done := ending.FindStringSubmatch(call.text); {
		case call.begin == 0:
		case strings.HasSuffix(strings.TrimSpace(call.text), "<unfinished ...>"):
			open[thread] = call
		case done != nil:
			call.result, call.end = done[1], n
			calls = append(calls, call)
		}
	}
	return calls
}

// on gives the file or socket that a call's first argument names.
func (c systemCall) on() string {
	if m := decoded.FindStringSubmatch(c.text); m != nil {
		return m[1]
	}
	return ""
}

// makes gives the file whose entry a call changes, "" when it changes none.
func (c systemCall) makes() string {
	if strings.HasPrefix(c.result, "-") {
		return ""
	}
	names := quoted.FindAllStringSubmatch(c.text, -1)
	switch {
	case c.name == "openat" && strings.Contains(c.text, "O_CREAT") && len(names) == 1:
		return names[0][1]
	case strings.HasPrefix(c.name, "rename") && len(names) == 2:
		return names[1][1]
	}
	return ""
}

var queueFile = regexp.MustCompile(`/queue-\d+/msgs/[^/]+\.blk$`)

// isMessage says whether a call writes a message into a file of a queue. What
// only notes that a message is done has no subject.
func (c systemCall) isMessage() bool {
	return strings.Contains(c.name, "write") && queueFile.MatchString(c.on()) && strings.Contains(c.text, `queue-`) &&
		strings.Contains(c.text[strings.Index(c.text, `"`)+1:], "queue-")
}

func (c systemCall) isAnswer() bool {
	return strings.Contains(c.name, "write") && strings.Contains(c.on(), "socket:") && strings.Contains(c.text, `"HTTP/1.1 204 `)
}

func (c systemCall) syncs(path string) bool {
	return (c.name == "fsync" || c.name == "fdatasync") && c.result == "0" && c.on() == path
}

// checkSynced proves of every 204 in a trace of requests that were sent one
// after the other: messages were written for it, and before its bytes went to
// the socket each one's file was synced, and since the file's entry was made
// the folder. It gives how many 204s there were, and how many of them needed
// a folder to be synced.
func checkSynced(calls []systemCall) (answers, folders int, err error) {
	var wrong []error
	last := 0
	for _, answer := range calls {
		if !answer.isAnswer() {
			continue
		}
		answers++
		messages := 0
		for _, message := range calls {
			if !message.isMessage() || message.begin < last || message.begin > answer.begin {
				continue
			}
			messages++
			if !syncedBetween(calls, message.on(), message.end, answer.begin) {
				wrong = append(wrong, fmt.Errorf("answer %d, line %d: %s was written at line %d and not synced", answers, answer.begin, message.on(), message.begin))
			}
			made := madeAt(calls, message.on(), message.begin)
			if made > last {
				folders++
			}
			if made == 0 || !syncedBetween(calls, filepath.Dir(message.on()), made, answer.begin) {
				wrong = append(wrong, fmt.Errorf("answer %d, line %d: %s was made at line %d and its folder not synced", answers, answer.begin, message.on(), made))
			}
		}
		if messages == 0 {
			wrong = append(wrong, fmt.Errorf("answer %d, line %d: no message was written for it", answers, answer.begin))
		}
		last = answer.begin
	}
	return answers, folders, errors.Join(wrong...)
}

func syncedBetween(calls []systemCall, path string, after, before int) bool {
	for _, c := range calls {
		if c.syncs(path) && c.begin > after && c.end < before {
			return true
		}
	}
	return false
}

// madeAt gives the line at which a file's entry was last made before a line:
// opening one that is there makes none.
func madeAt(calls []systemCall, path string, before int) int {
	made, there := 0, false
	for _, c := range calls {
		switch {
		case c.begin >= before:
		case strings.HasPrefix(c.name, "unlink") && c.result == "0" && strings.Contains(c.text, `"`+path+`"`):
			there = false
		case c.makes() == path && (!there || c.name != "openat"):
			made, there = c.end, true
		}
	}
	return made
}

const goodTrace = `7 openat(AT_FDCWD</w>, "/d/queue-1/msgs/1.blk", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 21</d/queue-1/msgs/1.blk>
7 openat(AT_FDCWD</w>, "/d/queue-1/msgs", O_RDONLY|O_CLOEXEC) = 5</d/queue-1/msgs>
7 pwrite64(21</d/queue-1/msgs/1.blk>, "u\0\0\07\0queue-1Wm\1"..., 117, 81 <unfinished ...>
8 futex(0xc000, FUTEX_WAIT) = 0
7 <... pwrite64 resumed>) = 117
9 fsync(21</d/queue-1/msgs/1.blk>) = 0
9 fsync(5</d/queue-1/msgs> <unfinished ...>
8 write(25<socket:[29]>, "HTTP/1.1 503 Service", 20) = 20
9 <... fsync resumed>) = 0
8 write(25<socket:[29]>, "HTTP/1.1 204 No Content\r\n"..., 64) = 64
7 openat(AT_FDCWD</w>, "/d/queue-1/msgs/1.blk", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 22</d/queue-1/msgs/1.blk>
7 pwrite64(22</d/queue-1/msgs/1.blk>, "t\0\0\07\0queue-1Wm\1"..., 116, 198) = 116
9 fsync(22</d/queue-1/msgs/1.blk>) = 0
8 write(25<socket:[30]>, "HTTP/1.1 204 No Content\r\n"..., 64) = 64
`

// A trace in which something was not synced in time is told from one in which
// all was.
func TestTraceWithoutASyncIsSeen(t *testing.T) {
	answers, folders, err := checkSynced(parseTrace(goodTrace))
	if err != nil || answers != 2 || folders != 1 {
		t.Fatalf("%d answers, %d folders, %v", answers, folders, err)
	}
	one := strings.SplitAfter(goodTrace, "\n")
	// without leaves lines out, and moves them behind the last one where late
	// says so. Lines are counted from 1.
	without := func(late bool, numbers ...int) string {
		var kept, gone string
		for i, line := range one {
			if slices.Contains(numbers, i+1) {
				gone += line
			} else {
				kept += line
			}
		}
		if late {
			kept += gone
		}
		return kept
	}
	for name, trace := range map[string]string{
		"the file is never synced":    without(false, 13),
		"the file is synced too late": without(true, 13),
		"the sync failed":             strings.Replace(goodTrace, "fsync(22</d/queue-1/msgs/1.blk>) = 0", "fsync(22</d/queue-1/msgs/1.blk>) = -1 EIO", 1),
		"synced before it is written": strings.Join([]string{without(false, 12, 13, 14), one[12], one[11], one[13]}, ""),
		"the folder is not synced":    without(false, 7, 9),
		"the folder's sync is late":   without(true, 9),
		"the file is made anew":       strings.Replace(goodTrace, one[10], "7 unlinkat(AT_FDCWD</w>, \"/d/queue-1/msgs/1.blk\", 0) = 0\n"+one[10], 1),
		"nothing was written":         without(false, 12),
	} {
		if trace == goodTrace {
			t.Errorf("%s: nothing was changed", name)
		}
		if _, _, err := checkSynced(parseTrace(trace)); err == nil {
			t.Errorf("%s: passed\n%s", name, trace)
		}
	}
}
