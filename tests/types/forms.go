// Reads forms, a line of hexadecimal digits each, as Go's mime/multipart does, and prints for each the file
// name and the bytes of its part "file" as JSON.
package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime/multipart"
	"os"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		form, err := hex.DecodeString(lines.Text())
		if err != nil {
			panic(err)
		}
		parts := multipart.NewReader(bytes.NewReader(form), os.Args[1])
		var found []string
		for {
			part, err := parts.NextRawPart()
			if err == io.EOF {
				break
			}
			if err != nil {
				panic(err)
			}
			text, err := io.ReadAll(part)
			if err != nil {
				panic(err)
			}
			if part.FormName() == "file" {
				found = append(found, part.FileName(), string(text))
			}
		}
		answers.Encode(found)
	}
}
