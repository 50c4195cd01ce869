package jetstream

import (
	"fmt"
	"log/slog"
	"strings"
)

// serverLog hands the server's log to slog, and watches it for the failures
// that the server reports nowhere else. It implements the server's Logger.
type serverLog struct {
	logger *slog.Logger
	failed func(reason string) // the server cannot go on; called more than once
}

// Noticef implements server.Logger.
func (l *serverLog) Noticef(format string, v ...any) { l.logger.Debug(fmt.Sprintf(format, v...)) }

// Debugf implements server.Logger.
func (l *serverLog) Debugf(format string, v ...any) { l.logger.Debug(fmt.Sprintf(format, v...)) }

// Tracef implements server.Logger.
func (l *serverLog) Tracef(format string, v ...any) { l.logger.Debug(fmt.Sprintf(format, v...)) }

// Warnf implements server.Logger.
func (l *serverLog) Warnf(format string, v ...any) {
	line := fmt.Sprintf(format, v...)
	l.logger.Warn(line)
	l.watch(line)
}

// Errorf implements server.Logger.
func (l *serverLog) Errorf(format string, v ...any) {
	line := fmt.Sprintf(format, v...)
	l.logger.Warn(line)
	l.watch(line)
}

// Fatalf implements server.Logger. The server stops its start after it.
func (l *serverLog) Fatalf(format string, v ...any) {
	line := fmt.Sprintf(format, v...)
	l.logger.Error(line)
	l.failed(line)
}

// watch looks for what the server logs once a stream takes no more writes, or
// JetStream goes down.
func (l *serverLog) watch(line string) {
	for _, failure := range [...]string{
		"critical write error",
		"Critical write error",
		"JetStream failed to store a msg on stream",
		"Filesystem permission denied",
		"JetStream out of",
	} {
		if strings.Contains(line, failure) {
			l.failed(line)
			return
		}
	}
}
