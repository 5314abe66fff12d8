package config

import (
	"path/filepath"
	"strings"
)

// DatabasePath is the SQLite file, as the store reads the URL; with another engine it is
// where that would be by default, so that data in files has its usual place.
func (s Settings) DatabasePath() string {
	if !s.SQLite() {
		return Default().DatabasePath()
	}
	return strings.TrimPrefix(strings.TrimPrefix(s.Stores.DatabaseURL, "sqlite:"), "//")
}

// DataDir is the folder of the SQLite file.
func (s Settings) DataDir() string { return filepath.Dir(s.DatabasePath()) }

// KeyFile is where the key of an SQLite database lies.
func (s Settings) KeyFile() string { return filepath.Join(s.DataDir(), "secret.key") }

// SpillFile is where activities wait while the database cannot take them.
func (s Settings) SpillFile() string {
	if s.Audit.Spill != "" {
		return s.Audit.Spill
	}
	return filepath.Join(s.DataDir(), "audit.spill")
}

// ControlSocket is the socket by which commands reach the service that has the database open; ""
// where there is none.
func (s Settings) ControlSocket() string {
	switch {
	case s.Listen.Control == "off":
		return ""
	case s.Listen.Control != "":
		return s.Listen.Control
	case !s.SQLite(): // commands open the database themselves
		return ""
	}
	return filepath.Join(s.DataDir(), "control.sock")
}

// Outbox is the folder of mails that are not sent.
func (s Settings) Outbox() string { return filepath.Join(s.DataDir(), "outbox") }

// Documents is the folder of uploaded files when they are kept in one.
func (s Settings) Documents() string {
	if s.Storage.Folder != "" {
		return s.Storage.Folder
	}
	return filepath.Join(s.DataDir(), "documents")
}
