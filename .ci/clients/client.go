// Go's net/http: client CHECK ADDRESS [VALUE] makes the requests of a check and prints what comes back.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

var url = "http://" + os.Args[2]

// closes says whether requests have `Connection: close`.
var closes = false

func send(method, target string, body io.Reader, length int64, expect string) (*http.Response, []byte) {
	request, err := http.NewRequest(method, url+target, body)
	if err != nil {
		panic(err)
	}
	if length > 0 {
		request.ContentLength = length
	}
	if expect != "" {
		request.Header.Set("Expect", expect)
	}
	request.Close = closes
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		panic(err)
	}
	return response, answer
}

func show(method, target string, body io.Reader, length int64, expect string) {
	response, answer := send(method, target, body, length, expect)
	if response.StatusCode != 200 {
		fmt.Print(response.StatusCode, " ")
	}
	fmt.Print(string(answer))
}

// slowly is 60 KB at 20 KB/s.
type slowly struct{ left int }

func (s *slowly) Read(piece []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(100 * time.Millisecond)
	n := 2000
	if n > len(piece) {
		n = len(piece)
	}
	s.left -= n
	return n, nil
}

func main() {
	zeros := bytes.NewReader(make([]byte, 5_000_000))
	switch check := os.Args[1]; check {
	case "get":
		show("GET", "/", nil, 0, "")
	case "head":
		response, _ := send("HEAD", "/large", nil, 0, "")
		fmt.Println(response.StatusCode, response.Header.Get("Content-Length"))
	case "reuse":
		show("GET", "/connection", nil, 0, "")
		show("POST", "/connection", strings.NewReader("text"), 0, "")
		show("GET", "/connection", nil, 0, "")
	case "post":
		show("POST", "/", strings.NewReader("text"), 0, "")
	case "upload":
		show("POST", "/", zeros, 0, "")
	case "unread":
		show("POST", "/early", zeros, 0, "")
	case "chunked":
		// Go does not know the length of a reader of another type.
		show("POST", "/", struct{ io.Reader }{zeros}, 0, "")
	case "expect":
		show("POST", "/", strings.NewReader("text"), 0, "100-continue")
	case "large":
		_, answer := send("GET", "/large", nil, 0, "")
		fmt.Println(len(answer))
	case "query":
		show("GET", "/query?q="+os.Args[3], nil, 0, "")
	case "slow":
		closes = true
		show("POST", "/early", &slowly{60_000}, 60_000, "")
	case "slow-chunked":
		show("POST", "/early", &slowly{60_000}, 0, "")
	default:
		panic("no such check: " + check)
	}
}
