// Signs a request by the scheme v3.0 and sends it. Prints the status and the answer; ends with 0 on 2xx.
//
//	CS_KEY_ID=ck_... CS_SECRET=css_... go run sign.go METHOD URL [BODY|@FILE] [CONTENT-TYPE]
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// sign gives the four headers of a request that is sent now. contentType is the value that will be sent, "" for none.
func sign(method string, u *url.URL, body []byte, contentType, keyID, secret string) (http.Header, error) {
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return signAt(method, u, body, contentType, keyID, secret, time.Now().Unix(), hex.EncodeToString(nonce)), nil
}

// signAt is sign at a given time in Unix seconds, with a given nonce.
func signAt(method string, u *url.URL, body []byte, contentType, keyID, secret string, timestamp int64, nonce string) http.Header {
	defaultPort := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	seconds := strconv.FormatInt(timestamp, 10)
	digest := sha256.Sum256(body)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(strings.Join([]string{
		"v3.0",
		keyID,
		seconds,
		nonce,
		strings.ToUpper(method),
		strings.TrimSuffix(strings.ToLower(u.Host), defaultPort),
		u.RequestURI(), // as net/http sends it
		contentType,
		hex.EncodeToString(digest[:]),
	}, "\n")))
	headers := http.Header{}
	headers.Set("X-Key-Id", keyID)
	headers.Set("X-Timestamp", seconds)
	headers.Set("X-Nonce", nonce)
	headers.Set("X-Signature", "v3="+hex.EncodeToString(mac.Sum(nil)))
	return headers
}

// send signs a request and gives the answer.
func send(method, address string, body []byte, contentType, keyID, secret string) (*http.Response, error) {
	request, err := http.NewRequest(strings.ToUpper(method), address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header, err = sign(request.Method, request.URL, body, contentType, keyID, secret)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	// A redirect would need a signature of its own.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return (&http.Client{CheckRedirect: stay, Timeout: 30 * time.Second}).Do(request)
}

func main() {
	keyID, secret := os.Getenv("CS_KEY_ID"), os.Getenv("CS_SECRET")
	if len(os.Args) < 3 || keyID == "" || secret == "" {
		fail(2, "usage: CS_KEY_ID=ck_... CS_SECRET=css_... sign METHOD URL [BODY|@FILE] [CONTENT-TYPE]")
	}
	arguments := append(os.Args[1:], "", "")
	body, contentType := []byte(arguments[2]), arguments[3]
	if strings.HasPrefix(arguments[2], "@") {
		var err error
		if body, err = os.ReadFile(arguments[2][1:]); err != nil {
			fail(1, err)
		}
	}
	if contentType == "" && len(body) > 0 {
		contentType = "application/json"
	}
	answer, err := send(arguments[0], arguments[1], body, contentType, keyID, secret)
	if err != nil {
		fail(1, err)
	}
	defer answer.Body.Close()
	fmt.Println(answer.StatusCode)
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
		fail(1, err)
	}
	if answer.StatusCode/100 != 2 {
		os.Exit(1)
	}
}

func fail(status int, why any) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(status)
}
