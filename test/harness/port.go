package harness

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken from below the range that systems hand out to clients. A
// client that dials a dead server's port again and again could else be given
// that very port, and would be connected to itself.
const (
	lowestPort  = 12_000
	highestPort = 30_000
)

// FreeAddress gives a loopback address that nothing listens on.
func FreeAddress() (string, error) {
	for range 200 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return "", err
		}
		return address, nil
	}
	return "", errors.New("harness: found no free port")
}
