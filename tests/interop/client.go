// Go's net/http against Datadog, which Datadog's own Go client stands on; see README.md.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

type object = map[string]any

var client = http.Client{Timeout: time.Minute}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func digest(body []byte) string { return fmt.Sprintf("%x", sha256.Sum256(body)) }

func call(method, base, path, query string, value any, packed bool) object {
	plain := []byte{}
	if value != nil {
		plain = must(json.Marshal(value))
	}
	body := plain
	if packed {
		var buffer bytes.Buffer
		writer := gzip.NewWriter(&buffer)
		must(writer.Write(plain))
		writer.Close()
		body = buffer.Bytes()
	}
	request := must(http.NewRequest(method, base+path+query, bytes.NewReader(body)))
	request.Header.Set("DD-API-KEY", os.Getenv("DD_API_KEY"))
	if packed {
		request.Header.Set("Content-Encoding", "gzip")
	} else {
		request.Header.Set("DD-APPLICATION-KEY", os.Getenv("DD_APP_KEY"))
	}
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	answer := must(client.Do(request))
	got := must(io.ReadAll(answer.Body))
	line := object{
		"method": method, "path": path, "status": answer.StatusCode,
		"sha256_request": digest(body), "sha256_response": digest(got),
	}
	if packed {
		line["sha256_unpacked"] = digest(plain)
	}
	fmt.Println(string(must(json.Marshal(line))))
	if answer.StatusCode/100 != 2 {
		fmt.Fprintln(os.Stderr, method, path, "was answered with", answer.Status)
		os.Exit(1)
	}
	var parsed any
	must(0, json.Unmarshal(got, &parsed))
	made, _ := parsed.(object)
	return made
}

func main() {
	site := os.Getenv("DD_SITE")
	api, intake := "https://api."+site, "https://http-intake.logs."+site
	do := func(method, path string, value any) object { return call(method, api, path, "", value, false) }

	monitors := "/api/v1/monitor"
	do("GET", monitors, nil)
	query := "avg(last_5m):avg:system.load.1{*} > 4"
	made := do("POST", monitors, object{"name": "interop go", "type": "query alert", "query": query})
	monitor := fmt.Sprintf("%s/%.0f", monitors, made["id"])
	do("GET", monitor, nil)
	do("PUT", monitor, object{"name": "ünïcode ✓"})
	do("DELETE", monitor, nil)

	dashboards := "/api/v1/dashboard"
	board := object{"title": "interop go", "layout_type": "ordered", "widgets": []any{}}
	do("GET", dashboards, nil)
	dashboard := fmt.Sprintf("%s/%v", dashboards, do("POST", dashboards, board)["id"])
	do("GET", dashboard, nil)
	do("PUT", dashboard, board)
	do("DELETE", dashboard, nil)

	now := time.Now().Unix()
	call("GET", api, "/api/v1/query", fmt.Sprintf("?from=%d&to=%d&query=avg:system.load.1%%7B*%%7D", now-3600, now), nil, false)
	logs := []object{}
	for n := 0; n < 500; n++ {
		logs = append(logs, object{"message": fmt.Sprint("interop go ", n), "service": "interop"})
	}
	call("POST", intake, "/api/v2/logs", "", logs, true)
}
