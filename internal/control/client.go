package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"

	"github.com/sealmq/sealmq/internal/explain"
	"github.com/sealmq/sealmq/topic"
)

// maxReply bounds what a client reads of one answer, in bytes: a full page whose every byte is escaped, and its numbers.
const maxReply = 64 << 20

// Client talks to a running broker. It is safe for concurrent use; Close ends it.
type Client struct {
	path string
	http *http.Client
}

// NotRunningError says that no broker answers at the socket.
type NotRunningError struct {
	Path string
	Err  error
}

// Error names the socket.
func (e *NotRunningError) Error() string {
	return fmt.Sprintf("no broker answers at %s: %v", e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *NotRunningError) Unwrap() error { return e.Err }

// NewClient makes a client for the broker whose data folder is dir. It connects with the first call.
func NewClient(dir string) *Client {
	c := &Client{path: filepath.Join(dir, SocketName)}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext:           c.connect,
		MaxIdleConns:          1,
		IdleConnTimeout:       idleTimeout,
		ResponseHeaderTimeout: workTimeout,
	}}
	return c
}

// Path is where the socket is expected.
func (c *Client) Path() string { return c.path }

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// connect dials the socket and makes sure that nobody else pretends to be the broker. Root may talk to everybody's.
func (c *Client) connect(context.Context, string, string) (net.Conn, error) {
	conn, err := dial(c.path)
	if err != nil {
		return nil, &NotRunningError{c.path, err}
	}
	if err := checkServer(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// Status describes the broker.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.get(ctx, "/v1/status", nil, &s)
}

// Coverage says who complies with the payload rules.
func (c *Client) Coverage(ctx context.Context) (r CoverageReport, err error) {
	return r, c.get(ctx, "/v1/payload/coverage", nil, &r)
}

// Sessions returns one page.
func (c *Client) Sessions(ctx context.Context, q SessionQuery) (page SessionPage, err error) {
	v := url.Values{"prefix": {q.Prefix}, "after": {q.After}, "limit": {strconv.Itoa(q.Limit)}}
	return page, c.get(ctx, "/v1/sessions", v, &page)
}

// Kick disconnects a client.
func (c *Client) Kick(ctx context.Context, clientID string, dryRun bool) (was Session, err error) {
	return was, c.post(ctx, "/v1/sessions/kick", sessionRequest{clientID, dryRun}, &was)
}

// Clear ends a session with its state.
func (c *Client) Clear(ctx context.Context, clientID string, dryRun bool) (was Session, err error) {
	return was, c.post(ctx, "/v1/sessions/clear", sessionRequest{clientID, dryRun}, &was)
}

// Retained returns one page.
func (c *Client) Retained(ctx context.Context, q RetainedQuery) (page RetainedPage, err error) {
	v := url.Values{
		"filter": {string(q.Filter)}, "after": {q.After},
		"limit": {strconv.Itoa(q.Limit)}, "preview": {strconv.Itoa(q.Preview)},
	}
	return page, c.get(ctx, "/v1/retained", v, &page)
}

// RemoveRetained removes what the filter matches.
func (c *Client) RemoveRetained(ctx context.Context, f topic.Filter, dryRun bool) (r Removed, err error) {
	return r, c.post(ctx, "/v1/retained/remove", removeRequest{string(f), dryRun}, &r)
}

// Backup has the broker write a copy of its state into dir, an absolute path.
func (c *Client) Backup(ctx context.Context, dir string, dryRun bool) (b Backup, err error) {
	return b, c.post(ctx, "/v1/backup", backupRequest{dir, dryRun}, &b)
}

// Refusal explains one refusal.
func (c *Client) Refusal(ctx context.Context, q RefusalQuery) (r Refusal, err error) {
	err = c.get(ctx, "/v1/refusal", url.Values{"id": {q.ID}, "client_id": {q.ClientID}}, &r)
	return r, err
}

// Ask is a dry run.
func (c *Client) Ask(ctx context.Context, q Question) (a explain.Answer, err error) {
	err = c.get(ctx, "/v1/explain", url.Values{
		"user": {q.User}, "method": {q.Method}, "issuer": {q.Issuer}, "client_id": {q.ClientID}, "do": {q.Do}, "topic": {q.Topic},
		"listener": {q.Listener}, "from": {q.From},
	}, &a)
	return a, err
}

func (c *Client) get(ctx context.Context, path string, query url.Values, v any) error {
	return c.do(ctx, http.MethodGet, path+"?"+query.Encode(), nil, v)
}

func (c *Client) post(ctx context.Context, path string, body, v any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	return c.do(ctx, http.MethodPost, path, text, v)
}

// do sends one request and decodes the answer into v, or returns the *Error it holds.
func (c *Client) do(ctx context.Context, method, path string, body []byte, v any) error {
	// The host is for the form only: HTTP/1.1 asks for one.
	req, err := http.NewRequestWithContext(ctx, method, "http://control"+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read to the end
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err == nil && len(text) > maxReply {
		err = errors.New("the answer is too long")
	}
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var e Error
		if err := json.Unmarshal(text, &e); err != nil || e.Message == "" {
			e = Error{Internal, "the broker answered " + resp.Status}
		}
		return &e
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}
