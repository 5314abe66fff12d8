package main

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/png"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"barong/internal/testenv"
)

// passport is an upload of a picture with a text behind it.
func passport(t *testing.T, text string) url.Values {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 3, 2))); err != nil {
		t.Fatal(err)
	}
	b.WriteString(text)
	return url.Values{
		"doc_type": {"Passport"}, "doc_number": {"N1"}, "doc_expire": {"07/08/2031"},
		"upload": {"data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())},
	}
}

const documentsPath = "/api/v2/resource/documents"

// folderOf lists the files of documents.
func (p *process) folderOf() (files []string) {
	p.t.Helper()
	err := filepath.WalkDir(filepath.Join(p.data(), "documents"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return files
}

// Uploads of the whole program: into the folder beside the database, past the daemon of ClamAV.
func TestUploadsAreScannedAndKept(t *testing.T) {
	const virus = "barong-test-virus-77ab"
	clamd := testenv.StartClamd(t, testenv.ClamdConfig{Virus: virus, StreamMaxLength: 1 << 20})
	dir := t.TempDir()
	email := withMembers(t, dir, 1)[0]
	p := serving(t, dir, "BARONG_CLAMD_ADDRESS="+clamd.Addr, "BARONG_CLAMD_TIMEOUT=2s")
	b := newBrowser(p).signIn(email, memberPassword)
	b.want(http.StatusCreated, "201", "POST", documentsPath, passport(t, "clean"))
	if files := p.folderOf(); len(files) != 1 {
		t.Fatalf("kept %v, want one file", files)
	}
	kept, err := os.ReadFile(p.folderOf()[0])
	if err != nil || !bytes.HasSuffix(kept, []byte("clean")) {
		t.Errorf("kept are %d bytes (%v)", len(kept), err)
	}
	b.want(http.StatusUnprocessableEntity, "upload.", "POST", documentsPath, passport(t, virus))
	clamd.Pause(t)
	b.want(http.StatusServiceUnavailable, "server.internal_error", "POST", documentsPath, passport(t, "clean"))
	clamd.Resume(t)
	clamd.Kill()
	b.want(http.StatusServiceUnavailable, "server.internal_error", "POST", documentsPath, passport(t, "clean"))
	if files := p.folderOf(); len(files) != 1 {
		t.Errorf("kept %v, want the first file only", files)
	}
	p.stop()
}

// The same into a bucket, and an answer when that is away.
func TestUploadsAreKeptInABucket(t *testing.T) {
	backend := s3mem.New()
	if err := backend.CreateBucket("documents"); err != nil {
		t.Fatal(err)
	}
	bucket := httptest.NewServer(gofakes3.New(backend).Server())
	defer bucket.Close()
	dir := t.TempDir()
	email := withMembers(t, dir, 1)[0]
	p := serving(t, dir, "BARONG_STORAGE_PROVIDER=s3", "BARONG_STORAGE_BUCKET_NAME=documents", "BARONG_STORAGE_ENDPOINT="+bucket.URL,
		"BARONG_STORAGE_ACCESS_KEY=key", "BARONG_STORAGE_SECRET_KEY=hunter2", "BARONG_STORAGE_TIMEOUT=2s", "BARONG_STORAGE_PREFIX=kyc")
	b := newBrowser(p).signIn(email, memberPassword)
	count := func() int {
		prefix := gofakes3.NewFolderPrefix("kyc/")
		prefix.HasDelimiter = false
		list, err := backend.ListBucket("documents", &prefix, gofakes3.ListBucketPage{})
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Contents)
	}
	b.want(http.StatusCreated, "201", "POST", documentsPath, passport(t, "clean"))
	if n := count(); n != 1 {
		t.Errorf("%d objects, want 1", n)
	}
	if _, err := os.Stat(filepath.Join(p.data(), "documents")); err == nil {
		t.Error("there is a folder of files, too")
	}
	bucket.CloseClientConnections()
	bucket.Listener.Close()
	b.want(http.StatusUnprocessableEntity, "Connection error", "POST", documentsPath, passport(t, "clean"))
	p.stop()
}
