package person

import (
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gabriel-vasile/mimetype"

	"barong/internal/invalid"
)

// An Upload is a file as a client sent it.
type Upload struct {
	// Name is the client's name of it, "" for none. It may hold anything.
	Name string
	// Media is the media type that a client without a name gives it, "" for none.
	Media string
	// Content is nil when the client sent something that is no file.
	Content *io.SectionReader
}

// A fileKind is a kind of file that may be stored.
type fileKind struct {
	extension, media string
	// size reads the size of a picture and decodes nothing of it; nil for other files.
	size func(io.Reader) (image.Config, error)
}

var fileKinds = []fileKind{
	{"jpg", "image/jpeg", jpeg.DecodeConfig}, {"jpeg", "image/jpeg", jpeg.DecodeConfig},
	{"png", "image/png", png.DecodeConfig}, {"gif", "image/gif", gif.DecodeConfig}, {"pdf", "application/pdf", nil},
}

// AllExtensions are those of the files whose content can be checked.
func AllExtensions() (all []string) {
	for _, k := range fileKinds {
		all = append(all, k.extension)
	}
	return all
}

// maxPixels bounds a picture: 134 million need half a gigabyte once they are decoded. maxImageHead bounds
// the bytes before its size.
const maxPixels, maxImageHead = 1 << 27, 4 << 20

// Rules that a file can break, beside the sentences of the reference.
const (
	ruleInfected = "infected"
	ruleOther    = "invalid" // the content is not that of the name
	rulePixels   = "too_many_pixels"
)

// inspect returns the kind of a file, or the rules that it breaks. An error is that of reading it.
func (r DocumentRules) inspect(f Upload) (kind fileKind, problems []string, err error) {
	if f.Content == nil {
		return kind, []string{invalid.Blank}, nil
	}
	found, err := mimetype.DetectReader(io.NewSectionReader(f.Content, 0, f.Content.Size()))
	if err != nil {
		return kind, nil, fmt.Errorf("look at an upload: %w", err)
	}
	extension, named := r.extension(f, found)
	if !slices.Contains(r.Extensions, extension) {
		if !named {
			return kind, []string{invalid.Blank}, nil
		}
		return kind, []string{r.refused(extension), invalid.Blank}, nil
	}
	kind = fileKinds[slices.IndexFunc(fileKinds, func(k fileKind) bool { return k.extension == extension })]
	switch size := f.Content.Size(); {
	case size < r.SizeMin:
		return kind, []string{r.tooSmall(), invalid.Blank}, nil
	case size > r.SizeMax:
		return kind, []string{r.tooLarge(), invalid.Blank}, nil
	case !found.Is(kind.media) && r.allows(found):
		return kind, []string{ruleOther}, nil
	case !found.Is(kind.media):
		return kind, []string{r.refused(extensionWord(found.Extension())), invalid.Blank}, nil
	case kind.size == nil:
		return kind, nil, nil
	}
	picture, err := kind.size(io.NewSectionReader(f.Content, 0, min(f.Content.Size(), maxImageHead)))
	switch {
	case err != nil:
		return kind, []string{ruleOther}, nil //nolint:nilerr // a broken picture is the client's
	case int64(picture.Width)*int64(picture.Height) > maxPixels:
		return kind, []string{rulePixels}, nil
	}
	return kind, nil, nil
}

// extension is that of a file by its name, by the media type that a client gives it, or by its
// content; named says that it is the client's word.
func (r DocumentRules) extension(f Upload, found *mimetype.MIME) (extension string, named bool) {
	switch {
	case f.Name != "":
		at := strings.LastIndexByte(f.Name, '.')
		return extensionWord(f.Name[at+1:]), true
	case f.Media != "" && f.Media != "application/octet-stream":
		for _, k := range fileKinds {
			if k.media == f.Media {
				return k.extension, true
			}
		}
		if m := mimetype.Lookup(f.Media); m != nil {
			return extensionWord(m.Extension()), true
		}
		return "", true
	}
	return extensionWord(found.Extension()), false
}

// allows reports whether files of a kind may be stored.
func (r DocumentRules) allows(found *mimetype.MIME) bool {
	return slices.ContainsFunc(fileKinds, func(k fileKind) bool {
		return found.Is(k.media) && slices.Contains(r.Extensions, k.extension)
	})
}

// The sentences of the reference, which clients get as tokens.
func (r DocumentRules) refused(extension string) string {
	return fmt.Sprintf(`You are not allowed to upload "%s" files, allowed types: %s`, extension, strings.Join(r.Extensions, ", "))
}

func (r DocumentRules) tooSmall() string {
	if r.SizeMin == 1 {
		return "File size should be greater than 1 Byte"
	}
	return fmt.Sprintf("File size should be greater than %d Bytes", r.SizeMin)
}

func (r DocumentRules) tooLarge() string {
	return fmt.Sprintf("File size should be less than %d MB", r.SizeMax>>20)
}

// UploadTokens are those of every rule that a file can break; word stands for an extension.
func (r DocumentRules) UploadTokens(word string) []string {
	var all invalid.Fields
	all.Add("upload", r.refused(word), r.tooSmall(), r.tooLarge(), invalid.Blank, ruleOther, rulePixels)
	return all.Tokens()
}

// extensionWord is an extension in lower case, "" for a text that is none.
func extensionWord(text string) string {
	text = strings.ToLower(strings.TrimPrefix(text, "."))
	if len(text) > 16 || strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return ""
	}
	return text
}

// maxFileName bounds the name of a file, in bytes.
const maxFileName = 128

// fileName is a client's name of a file without its folders and with nothing in it that means something
// to a file system, a header or a page: characters other than letters, digits, marks and _.+- of every script
// become _. The extension stays.
func fileName(name, extension string) string {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	if at := strings.LastIndexByte(name, '.'); at >= 0 {
		name = name[:at]
	}
	name = strings.Map(func(c rune) rune {
		if c == utf8.RuneError || !unicode.In(c, unicode.L, unicode.M, unicode.Nd, unicode.Pc) && !strings.ContainsRune(".+-", c) {
			return '_'
		}
		return c
	}, name)
	for len(name)+len(extension)+1 > maxFileName {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	if name = strings.TrimLeft(name, ".-"); strings.Trim(name, "_") == "" {
		name = "document"
	}
	return name + "." + extension
}
