package person

// FileName is fileName, for its fuzz target.
func FileName(name, extension string) string { return fileName(name, extension) }
