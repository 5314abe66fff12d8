package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"barong/internal/config"
	"barong/internal/configured"
	"barong/internal/person"
	"barong/internal/provider/clamd"
	"barong/internal/provider/s3"
	"barong/internal/store/folder"
)

// openScanner makes the scanner of uploads; nil when none is named.
func openScanner(s config.Settings) (person.Scanner, error) {
	if s.Storage.Clamd == "" {
		return nil, nil
	}
	scanner, err := clamd.New(configured.Scanner(s))
	if err != nil {
		return nil, fmt.Errorf("BARONG_CLAMD_ADDRESS, BARONG_CLAMD_TIMEOUT: %w", err)
	}
	return scanner, nil
}

// openFiles opens the store of uploaded files.
func (sv *service) openFiles(s config.Settings) (person.Files, error) {
	if s.Storage.Provider == "s3" {
		files, err := s3.New(configured.Bucket(s), nil)
		if err != nil {
			return nil, usageError{named("BARONG_STORAGE_*", err)}
		}
		return files, nil
	}
	files, err := folder.Open(s.Documents())
	if err != nil {
		return nil, named("BARONG_STORAGE_FOLDER", err)
	}
	sv.closers = append(sv.closers, files.Close)
	return files, nil
}

// checkBucket looks at the settings of files in S3.
func checkBucket(s config.Settings) error {
	if s.Storage.Provider != "s3" {
		return nil
	}
	return named("BARONG_STORAGE_*", configured.Bucket(s).Validate())
}

// checkFolder looks at the folder of files without making it.
func checkFolder(s config.Settings) error {
	info, err := os.Stat(s.Documents())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = nil // it is made when it is needed
	case err == nil && !info.IsDir():
		err = errors.New("it is no folder")
	}
	return named("BARONG_STORAGE_FOLDER", err)
}

// oddUploads are warnings about settings of uploads.
func oddUploads(s config.Settings) (odd []string) {
	if s.Storage.Provider == "local" && s.Storage.Folder == "" && !s.SQLite() {
		odd = append(odd, "BARONG_STORAGE_FOLDER is empty: with PostgreSQL all replicas must share one folder of uploaded files; name it, or keep them in s3")
	}
	if configured.Scanner(s).Open() {
		odd = append(odd, "BARONG_CLAMD_ADDRESS is another machine, and clamd knows no TLS: keep the way there closed to others")
	}
	return odd
}
