// `go PORT [FILE]`: net/http. A line on its stdin stops it, as with `hardstop`; its other paths are those of
// `transfer-hardstop`.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"time"
)

func main() {
	server := &http.Server{Addr: "127.0.0.1:" + os.Args[1]}
	http.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Write([]byte("Hello world!"))
	})
	if len(os.Args) > 2 {
		transfers(os.Args[2])
	}
	before := runtime.NumGoroutine()
	go server.ListenAndServe()
	bufio.NewReader(os.Stdin).ReadString('\n')
	start := time.Now()
	server.Close()
	cut := time.Since(start)
	for runtime.NumGoroutine() > before {
		time.Sleep(50 * time.Microsecond)
	}
	fmt.Println(cut.Microseconds(), time.Since(start).Microseconds())
}

func transfers(path string) {
	const size = 256 << 20
	memory := bytes.Repeat([]byte("x"), size)
	fixed := func(w http.ResponseWriter) { w.Header().Set("Content-Length", fmt.Sprint(size)) }
	chunked := func(w http.ResponseWriter, from io.Reader) {
		w.Header().Set("Content-Type", "text/plain")
		w.(http.Flusher).Flush()
		// Without what would send the file by itself, so that it reads as the others do.
		io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{from}, make([]byte, 512*1024))
	}
	http.HandleFunc("/memory", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			count, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, make([]byte, 512*1024))
			fmt.Fprint(w, count)
			return
		}
		fixed(w)
		w.Write(memory)
	})
	http.HandleFunc("/memory-chunked", func(w http.ResponseWriter, _ *http.Request) { chunked(w, bytes.NewReader(memory)) })
	http.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			file, _ := os.Create(path + ".up")
			defer file.Close()
			// Without what would choose a smaller buffer by itself.
			count, _ := io.CopyBuffer(struct{ io.Writer }{file}, r.Body, make([]byte, 512*1024))
			fmt.Fprint(w, count)
			return
		}
		file, _ := os.Open(path)
		defer file.Close()
		fixed(w)
		io.Copy(w, file) // sendfile
	})
	http.HandleFunc("/file-chunked", func(w http.ResponseWriter, _ *http.Request) {
		file, _ := os.Open(path)
		defer file.Close()
		chunked(w, file)
	})
}
