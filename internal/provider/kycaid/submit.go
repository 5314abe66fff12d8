package kycaid

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"

	"barong/internal/person"
)

// CreateApplicant implements person.KYCService: POST /applicants.
func (c *Client) CreateApplicant(ctx context.Context, key string, a person.KYCPerson) (string, error) {
	return c.create(ctx, "applicant", key, map[string]any{
		"type": "PERSON", "first_name": a.FirstName, "last_name": a.LastName, "dob": a.DOB, "residence_country": a.Country,
		"email": a.Email, "phone": a.Phone,
	})
}

// CreateDocument implements person.KYCService: POST /documents.
func (c *Client) CreateDocument(ctx context.Context, key string, p person.KYCPaper) (string, error) {
	return c.create(ctx, "document", key, map[string]any{
		"applicant_id": p.Applicant, "type": p.Type, "document_number": p.Number, "issue_date": p.Issued, "expiry_date": p.Expires,
		"front_side_id": p.Front, "back_side_id": p.Back,
	})
}

// pages are the members for the files of one proof, in their order.
var pages = [person.KYCPages]string{"front_side_id", "back_side_id", "other_side_1_id", "other_side_2_id", "other_side_3_id"}

// CreateAddress implements person.KYCService: POST /addresses.
func (c *Client) CreateAddress(ctx context.Context, key string, h person.KYCHome) (string, error) {
	members := map[string]any{
		"applicant_id": h.Applicant, "type": "REGISTERED", "country": h.Country, "city": h.City, "postal_code": h.PostalCode,
		"full_address": h.Address,
	}
	for i, file := range h.Pages[:min(len(h.Pages), len(pages))] {
		members[pages[i]] = file
	}
	return c.create(ctx, "address", key, members)
}

// StartVerification implements person.KYCService: POST /verifications.
func (c *Client) StartVerification(ctx context.Context, key, applicant string, types []string) (string, error) {
	return c.create(ctx, "verification", key, map[string]any{
		"applicant_id": applicant, "types": types, "form_id": c.config.Form, "callback_url": c.config.Callback,
	})
}

// paths are those of the objects that are made; an answer has the id of one as <object>_id.
var paths = map[string]string{
	"applicant": "/applicants", "document": "/documents", "address": "/addresses", "verification": "/verifications", "file": "/files",
}

// create posts the members that are not empty as JSON; see post.
func (c *Client) create(ctx context.Context, object, key string, members map[string]any) (string, error) {
	for name, value := range members {
		if value == "" {
			delete(members, name)
		}
	}
	text, err := json.Marshal(members)
	if err != nil {
		return "", fmt.Errorf("create %s: %w", object, err)
	}
	return c.post(ctx, object, key, "application/json", bytes.NewReader(text), int64(len(text)))
}

// CreateFile implements person.KYCService: POST /files. The content passes through, and is nowhere in
// memory as a whole.
func (c *Client) CreateFile(ctx context.Context, key string, f person.KYCFile) (string, error) {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	_, err := w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {multipart.FileContentDisposition("file", f.Name)}, "Content-Type": {f.Media},
	})
	if err != nil {
		return "", fmt.Errorf("create file: %w", err)
	}
	head := form.String()
	form.Reset()
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("create file: %w", err)
	}
	body := io.MultiReader(bytes.NewReader([]byte(head)), &whole{f.Content, f.Size}, bytes.NewReader(form.Bytes()))
	return c.post(ctx, "file", key, w.FormDataContentType(), body, int64(len(head))+f.Size+int64(form.Len()))
}

// whole is content of a size. It ends in an error when there is less, so that the end of the form does
// not follow on half a file.
type whole struct {
	from io.Reader
	left int64
}

// Read implements io.Reader.
func (w *whole) Read(p []byte) (int, error) {
	n, err := w.from.Read(p[:min(int64(len(p)), w.left)])
	if w.left -= int64(n); w.left == 0 {
		return n, io.EOF
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// post makes an object and returns its id. The key names the call in a header, by which a service can
// see a repetition. person.ErrKYCRefused when the service says that the request is wrong.
func (c *Client) post(ctx context.Context, object, key, media string, body io.Reader, size int64) (string, error) {
	id, err := c.posted(ctx, object, key, media, body, size)
	if err != nil {
		return "", fmt.Errorf("create %s: %w", object, err)
	}
	return id, nil
}

func (c *Client) posted(ctx context.Context, object, key, media string, body io.Reader, size int64) (string, error) {
	req, err := c.request(ctx, http.MethodPost, paths[object], body)
	if err != nil {
		return "", err
	}
	req.ContentLength = size
	req.Header.Set("Content-Type", media)
	req.Header.Set("Idempotency-Key", key)
	client := c.client
	if object == "file" {
		client = c.uploads
	}
	status, answer, err := client.Do(req, maxAnswer)
	if err != nil {
		return "", unreached(err)
	}
	switch status {
	case http.StatusOK, http.StatusCreated:
		return parseCreated(answer, object+"_id")
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		if parseRefusal(answer) {
			return "", fmt.Errorf("%w: status %d", person.ErrKYCRefused, status)
		}
		return "", errAnswer
	}
	return "", failure(status)
}

// parseCreated reads the id of a new object.
func parseCreated(body []byte, idName string) (string, error) {
	var answer map[string]json.RawMessage
	var id string
	if json.Unmarshal(body, &answer) != nil || json.Unmarshal(answer[idName], &id) != nil || !validID(id) {
		return "", errAnswer
	}
	return id, nil
}

// parseRefusal reports whether an answer is the service's own, about members of the request: an object
// with error or errors. Pages of proxies on the way are none.
func parseRefusal(body []byte) bool {
	var answer struct {
		Error  json.RawMessage `json:"error"`
		Errors json.RawMessage `json:"errors"`
	}
	said := func(m json.RawMessage) bool { return len(m) > 0 && (m[0] == '{' || m[0] == '[') }
	return json.Unmarshal(body, &answer) == nil && (said(answer.Error) || said(answer.Errors))
}
