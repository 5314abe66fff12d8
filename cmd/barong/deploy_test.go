package main

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"barong/internal/config"
	"barong/internal/expect"
	"barong/internal/secret"
)

// The settings of the service file are accepted as they stand, with secrets as systemd hands them over.
func TestServiceFileIsAccepted(t *testing.T) {
	credentials := t.TempDir()
	for name, text := range map[string]string{
		"database_url": "postgres://barong:pw@db.example/barong?sslmode=verify-full", "secret_key": base64.StdEncoding.EncodeToString(secret.Bytes(32)),
	} {
		expect.OK(t, os.WriteFile(filepath.Join(credentials, name), []byte(text), 0o600))
	}
	unit := document(t, "deploy/systemd/barong.service")
	var environ []string
	for _, m := range regexp.MustCompile(`(?m)^Environment=(.*)$`).FindAllStringSubmatch(unit, -1) {
		environ = append(environ, strings.Fields(strings.ReplaceAll(m[1], "%d", credentials))...)
	}
	if len(environ) < 2 {
		t.Fatalf("the unit sets %q", environ)
	}
	for _, name := range environ {
		_, file, _ := strings.Cut(name, "=")
		if !strings.Contains(unit, "LoadCredential="+filepath.Base(file)+":") {
			t.Errorf("no credential is loaded for %s", name)
		}
	}
	for line := range strings.Lines(document(t, "deploy/systemd/barong.env")) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			environ = append(environ, line)
		}
	}
	c := newConsole(t)
	c.env = environ
	c.run("", "config check").want(t, 0)
	c.env = append(environ, "BARONG_NO_SETTING=1")
	c.run("", "config check").want(t, 2, "BARONG_NO_SETTING")

	// systemd ends a service that is slower to stop than it may be by kill -9, and tries again after
	// any status but that of serve.
	s, err := config.Load(environ)
	expect.OK(t, err)
	value := func(key string) string {
		m := regexp.MustCompile(`(?m)^` + key + `=(.*)$`).FindStringSubmatch(unit)
		if m == nil {
			t.Fatalf("the unit has no %s", key)
		}
		return m[1]
	}
	if stop := expect.Must(time.ParseDuration(value("TimeoutStopSec")))(t); stop <= s.Process.ShutdownTimeout {
		t.Errorf("it is killed after %s, and may take %s", stop, s.Process.ShutdownTimeout)
	}
	if value("RestartPreventExitStatus") != "2" || strings.Contains(unit, "ExecStartPre=") {
		t.Error("a wrong setting is tried again")
	}
	if !strings.HasPrefix(s.Listen.GRPC, "unix:///run/"+value("RuntimeDirectory")+"/") {
		t.Errorf("the unit makes no folder for %s", s.Listen.GRPC)
	}

	commands := document(t, "docs/cli.md")
	for _, m := range regexp.MustCompile(`(?m)^ExecStart=/usr/bin/(.*)$`).FindAllStringSubmatch(unit, -1) {
		if !strings.Contains(commands, m[1]) {
			t.Errorf("%q is no command", m[1])
		}
	}
}

// The service has no right that it does not need.
func TestServiceIsConfined(t *testing.T) {
	lines := strings.Split(document(t, "deploy/systemd/barong.service"), "\n")
	for _, directive := range []string{
		"User=barong", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "AmbientCapabilities=", "ProtectSystem=strict", "ProtectHome=yes",
		"PrivateTmp=yes", "PrivateDevices=yes", "PrivateUsers=yes", "ProtectKernelTunables=yes", "ProtectKernelModules=yes",
		"ProtectKernelLogs=yes", "ProtectControlGroups=yes", "ProtectProc=invisible", "RestrictNamespaces=yes", "RestrictSUIDSGID=yes",
		"RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX", "LockPersonality=yes", "MemoryDenyWriteExecute=yes",
		"SystemCallArchitectures=native", "SystemCallFilter=@system-service", "SystemCallFilter=~@privileged @resources", "UMask=0077",
	} {
		if !slices.Contains(lines, directive) {
			t.Errorf("the unit lacks %s", directive)
		}
	}
}

// The image is built by the flags of make build, from every folder that the program needs, and runs as nobody.
func TestImageIsBuiltAsTheBinary(t *testing.T) {
	image, makefile := document(t, "deploy/Dockerfile"), document(t, "Makefile")
	flags := regexp.MustCompile(`CGO_ENABLED=0 go build -trimpath (?:-buildvcs=false )?(-tags \S+) -ldflags`)
	ours, theirs := flags.FindStringSubmatch(makefile), flags.FindStringSubmatch(image)
	if ours == nil || theirs == nil || ours[1] != theirs[1] {
		t.Errorf("make builds by %q, the image by %q", ours, theirs)
	}
	for _, text := range []string{"-X main.version=$", "-X main.commit=$", "-s -w "} {
		if !strings.Contains(makefile, text) || !strings.Contains(image, text) {
			t.Errorf("one of both lacks %q", text)
		}
	}
	for _, text := range []string{"\nFROM scratch\n", "\nUSER 65532:65532\n", `"/barong", "health"`, `ENTRYPOINT ["/barong"]`} {
		if !strings.Contains(image, text) {
			t.Errorf("the image lacks %q", text)
		}
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if .Module}}{{if .Module.Main}}{{.ImportPath}}{{end}}{{end}}", ".")
	out, err := list.Output()
	expect.OK(t, err)
	read := []string{"!go.mod", "!go.sum"}
	for path := range strings.FieldsSeq(string(out)) {
		read = append(read, "!"+strings.Split(path, "/")[1])
	}
	slices.Sort(read)
	read = slices.Compact(read)
	sent := regexp.MustCompile(`(?m)^!.*$`).FindAllString(document(t, "deploy/Dockerfile.dockerignore"), -1)
	slices.Sort(sent)
	if !slices.Equal(sent, read) {
		t.Errorf("the build of the image sees %q, and reads %q", sent, read)
	}
}
