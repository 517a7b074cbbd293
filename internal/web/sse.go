package web

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
)

// message is one message of an event stream. An id of 0 is left out, and so is an empty event: the reader then takes
// the data as the page's news. Every line of data gets a field of its own, however it ends.
func message(id int64, event string, data []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(data) + len(data)/16 + 64)
	if id > 0 {
		b.WriteString("id: " + strconv.FormatInt(id, 10) + "\n")
	}
	if event != "" {
		b.WriteString("event: " + event + "\n")
	}
	for {
		i := bytes.IndexAny(data, "\r\n")
		b.WriteString("data: ")
		if i < 0 {
			b.Write(data)
			b.WriteString("\n\n")
			return b.Bytes()
		}
		b.Write(data[:i])
		b.WriteByte('\n')
		if data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n' {
			i++
		}
		data = data[i+1:]
	}
}

// wire is the way to one reader of something long.
type wire struct {
	w       http.ResponseWriter
	control *http.ResponseController
	limit   time.Duration
}

// openStream begins the answer of a stream.
func openStream(c echo.Context, limit time.Duration) *wire {
	h := c.Response().Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would keep it back
	c.Response().WriteHeader(http.StatusOK)
	return &wire{w: c.Response(), control: http.NewResponseController(c.Response()), limit: limit}
}

// Write writes within the limit, which begins anew with each write. An error means that the reader is gone or does not
// read; either way it is given up, and comes back by itself if it still can.
func (w *wire) Write(b []byte) (int, error) {
	if err := w.control.SetWriteDeadline(time.Now().Add(w.limit)); err != nil {
		return 0, err
	}
	return w.w.Write(b)
}

// send writes and flushes.
func (w *wire) send(b []byte) error {
	if _, err := w.Write(b); err != nil {
		return err
	}
	return w.control.Flush()
}
