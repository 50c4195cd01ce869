package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// BinaryVariable names the environment variable that holds the path of the
// weir under test. Main sets it unless it is set already.
const BinaryVariable = "WEIR_TEST_BINARY"

// FlagsVariable names the environment variable with more flags for the build
// of the weir under test, such as -race.
const FlagsVariable = "WEIR_TEST_BUILD_FLAGS"

// Main builds weir once for a test package, runs the package's tests and
// gives the exit code. Call it from TestMain.
func Main(m *testing.M) int {
	if os.Getenv(BinaryVariable) != "" {
		return m.Run()
	}
	folder, err := os.MkdirTemp("", "weir-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	path, err := Build(folder)
	if err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		return 1
	}
	if err := os.Setenv(BinaryVariable, path); err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		return 1
	}
	return m.Run()
}

// Build compiles cmd/weir into a folder and gives the binary's path.
func Build(folder string) (string, error) {
	path := filepath.Join(folder, "weir")
	arguments := []string{"build", "-o", path}
	arguments = append(arguments, strings.Fields(os.Getenv(FlagsVariable))...)
	arguments = append(arguments, "weir/cmd/weir")
	if out, err := exec.Command("go", arguments...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(arguments, " "), err, out)
	}
	return path, nil
}

// Binary gives the path of the weir under test.
func Binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv(BinaryVariable)
	if path == "" {
		t.Fatalf("%s is not set: let TestMain call harness.Main", BinaryVariable)
	}
	return path
}
