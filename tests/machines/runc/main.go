// Runc-nocgroup runs runc on a host whose cgroup v2 tree has no controllers.
//
// runc writes the limits of config.json into cgroup files that do not exist there and fails. The test
// bed asserts nothing about limits, so they are taken out of the bundle before `create`; everything
// else goes to runc as it came. The real runc is named by USHER_RUNC.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

func main() {
	runc := os.Getenv("USHER_RUNC")
	if runc == "" {
		runc = "/usr/sbin/runc"
	}
	arguments := os.Args[1:]
	if slices.Contains(arguments, "create") {
		bundle := "."
		if at := slices.Index(arguments, "--bundle"); at >= 0 && at+1 < len(arguments) {
			bundle = arguments[at+1]
		}
		if err := dropResources(filepath.Join(bundle, "config.json")); err != nil {
			fmt.Fprintln(os.Stderr, "runc-nocgroup:", err)
			os.Exit(1)
		}
	}
	err := syscall.Exec(runc, append([]string{"runc"}, arguments...), os.Environ())
	fmt.Fprintf(os.Stderr, "runc-nocgroup: %s: %v\n", runc, err)
	os.Exit(1)
}

func dropResources(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if linux, ok := config["linux"].(map[string]any); ok {
		delete(linux, "resources")
	}
	if text, err = json.Marshal(config); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
