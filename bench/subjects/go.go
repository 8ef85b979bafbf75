// `go PORT`: net/http. A line on its stdin stops it, as with `hardstop`.
package main

import (
	"bufio"
	"fmt"
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
