package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sealmq/sealmq/topic"
)

// Bounds of one request and its answer.
const (
	maxBody     = 256 << 10 // bytes of a request; a Client Identifier has at most 65535, escaped
	maxHeader   = 1 << 20   // bytes of its head: the query holds a cursor
	maxAnswer   = 8 << 20   // bytes of keys in a page, which is cut short above
	readTimeout = 10 * time.Second
	idleTimeout = time.Minute
	// workTimeout is for a backup across file systems and for the removal of many messages.
	workTimeout = time.Hour
)

// Server answers at the socket.
type Server struct {
	http   *http.Server
	broker Broker
	store  Store
	log    *slog.Logger
	mux    *http.ServeMux
	acts   Recorder // nil: nothing is recorded
}

// NewServer makes a server; Serve starts it.
func NewServer(b Broker, s Store, log *slog.Logger) *Server {
	mux := http.NewServeMux()
	srv := &Server{broker: b, store: s, log: log, mux: mux}
	mux.HandleFunc("GET /v1/status", srv.status)
	mux.HandleFunc("GET /v1/sessions", srv.sessions)
	mux.HandleFunc("POST /v1/sessions/kick", srv.session("kick", b.Kick))
	mux.HandleFunc("POST /v1/sessions/clear", srv.session("clear", b.Clear))
	mux.HandleFunc("GET /v1/retained", srv.retained)
	mux.HandleFunc("POST /v1/retained/remove", srv.removeRetained)
	mux.HandleFunc("POST /v1/backup", srv.backup)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answerError(w, &Error{NotFound, "no such operation: " + r.Method + " " + r.URL.Path})
	})
	srv.http = &http.Server{
		Handler: mux, ReadTimeout: readTimeout, WriteTimeout: workTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if sc, ok := c.(*slotConn); ok {
				if p, err := peerOf(sc.UnixConn); err == nil {
					return context.WithValue(ctx, peerKey{}, p)
				}
			}
			return ctx
		},
	}
	return srv
}

// Record has everything recorded that changes something. It is called before Serve.
func (s *Server) Record(r Recorder) { s.acts = r }

// Explain lets the socket answer for refusals. It is called before Serve.
func (s *Server) Explain(d Decisions) {
	s.mux.HandleFunc("GET /v1/refusal", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		refusal, err := d.Refusal(RefusalQuery{ID: q.Get("id"), ClientID: q.Get("client_id")})
		conclude(w, refusal, err)
	})
	s.mux.HandleFunc("GET /v1/explain", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		a, err := d.Ask(Question{
			User: q.Get("user"), Method: q.Get("method"), Issuer: q.Get("issuer"), ClientID: q.Get("client_id"),
			Do: q.Get("do"), Topic: q.Get("topic"), Listener: q.Get("listener"), From: q.Get("from"),
		})
		conclude(w, a, err)
	})
}

// Cover lets the socket answer for the payload rules. It is called before Serve.
func (s *Server) Cover(c Coverage) {
	s.mux.HandleFunc("GET /v1/payload/coverage", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, CoverageReport{Rules: c.Coverage()})
	})
}

type peerKey struct{}

// Serve answers until Close, and then returns nil.
func (s *Server) Serve(l *Socket) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close ends the server, its listener, and requests under way.
func (s *Server) Close() error { return s.http.Close() }

// record logs what changes something, with who asked for it.
func (s *Server) record(r *http.Request, operation string, dryRun bool, err error, attrs ...any) {
	if dryRun {
		return
	}
	act := Act{Operation: operation, By: "unknown", Err: err}
	for i := 0; i+1 < len(attrs); i += 2 {
		act.Details = append(act.Details, fmt.Sprintf("%v: %v", attrs[i], attrs[i+1]))
	}
	if p, ok := r.Context().Value(peerKey{}).(Peer); ok && p.Known {
		attrs = append(attrs, "by_uid", p.UID, "by_pid", p.PID)
		act.By = fmt.Sprintf("uid %d, pid %d", p.UID, p.PID)
	}
	if s.acts != nil {
		s.acts.Acted(&act)
	}
	if err != nil {
		s.log.Warn("admin: "+operation, append(attrs, "err", err)...)
		return
	}
	s.log.Info("admin: "+operation, attrs...)
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) { answer(w, s.broker.Status()) }

func (s *Server) sessions(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, err := number(q.Get("limit"), "limit", 1, MaxPage, 100)
	if err != nil {
		answerError(w, err)
		return
	}
	page := s.broker.Sessions(SessionQuery{Prefix: q.Get("prefix"), After: q.Get("after"), Limit: limit})
	if n := fitting(page.Sessions, func(s *Session) int { return len(s.ClientID) + len(s.Principal) }); n < len(page.Sessions) {
		page.Sessions = page.Sessions[:n]
		page.Next = page.Sessions[n-1].ClientID
	}
	answer(w, page)
}

// sessionRequest names one session.
type sessionRequest struct {
	ClientID string `json:"client_id"`
	DryRun   bool   `json:"dry_run"`
}

func (s *Server) session(operation string, do func(string, bool) (Session, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var req sessionRequest
		if !read(w, r, &req) {
			return
		}
		if req.ClientID == "" {
			answerError(w, &Error{Invalid, "no client identifier given"})
			return
		}
		was, err := do(req.ClientID, req.DryRun)
		s.record(r, operation, req.DryRun, err, "client", req.ClientID)
		conclude(w, was, err)
	}
}

func (s *Server) retained(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, err := number(q.Get("limit"), "limit", 1, MaxPage, 100)
	var preview int
	if err == nil {
		preview, err = number(q.Get("preview"), "preview", 0, MaxPreview, 0)
	}
	var f topic.Filter
	if err == nil {
		f, err = filter(q.Get("filter"))
	}
	if err != nil {
		answerError(w, err)
		return
	}
	page := s.broker.Retained(RetainedQuery{Filter: f, After: q.Get("after"), Limit: limit, Preview: preview})
	size := func(m *Retained) int { return len(m.Topic) + len(m.ClientID) + len(m.Author) + len(m.Preview) }
	if n := fitting(page.Messages, size); n < len(page.Messages) {
		page.Messages = page.Messages[:n]
		page.Next = page.Messages[n-1].Topic
	}
	answer(w, page)
}

// removeRequest says which Retained Messages go.
type removeRequest struct {
	Filter string `json:"filter"`
	DryRun bool   `json:"dry_run"`
}

func (s *Server) removeRetained(w http.ResponseWriter, r *http.Request) {
	var req removeRequest
	if !read(w, r, &req) {
		return
	}
	f, err := filter(req.Filter)
	if err != nil {
		answerError(w, err)
		return
	}
	removed, err := s.broker.RemoveRetained(r.Context(), f, req.DryRun)
	s.record(r, "remove retained", req.DryRun, err, "filter", req.Filter, "count", removed.Count)
	conclude(w, removed, err)
}

// backupRequest says where the copy goes.
type backupRequest struct {
	Dir    string `json:"dir"`
	DryRun bool   `json:"dry_run"`
}

func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	var req backupRequest
	if !read(w, r, &req) {
		return
	}
	if !filepath.IsAbs(req.Dir) {
		answerError(w, &Error{Invalid, "the backup folder is not an absolute path"})
		return
	}
	done, err := s.store.Backup(r.Context(), filepath.Clean(req.Dir), req.DryRun)
	s.record(r, "backup", req.DryRun, err, "dir", req.Dir)
	conclude(w, done, err)
}

// fitting is how many items a page may have, at least one if there are any.
func fitting[T any](items []T, size func(*T) int) int {
	total := 0
	for i := range items {
		if total += size(&items[i]); total > maxAnswer && i > 0 {
			return i
		}
	}
	return len(items)
}

func filter(s string) (topic.Filter, error) {
	f, err := topic.ParseFilter(s)
	if err != nil {
		return "", &Error{Invalid, "not a topic filter: " + err.Error()}
	}
	return f, nil
}

func number(s, name string, lo, hi, absent int) (int, error) {
	if s == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < lo || n > hi {
		return 0, &Error{Invalid, name + " is not a number from " + strconv.Itoa(lo) + " to " + strconv.Itoa(hi)}
	}
	return n, nil
}

// read decodes the body into v; when it cannot, it answers and returns false.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, end := d.Token(); end != io.EOF {
			err = errors.New("more than one value")
		}
	}
	if err != nil {
		answerError(w, &Error{Invalid, "the request cannot be read: " + err.Error()})
	}
	return err == nil
}

func conclude(w http.ResponseWriter, v any, err error) {
	if err != nil {
		answerError(w, err)
		return
	}
	answer(w, v)
}

func answer(w http.ResponseWriter, v any) { write(w, http.StatusOK, v) }

// answerError gives every class its HTTP status.
func answerError(w http.ResponseWriter, err error) {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Internal, err.Error()}
	}
	status := http.StatusInternalServerError
	switch e.Code {
	case Invalid:
		status = http.StatusBadRequest
	case NotFound:
		status = http.StatusNotFound
	case Conflict:
		status = http.StatusConflict
	case Unsupported:
		status = http.StatusNotImplemented
	}
	write(w, status, e)
}

func write(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"code":"internal","message":"the answer cannot be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text) // a client that went away has nobody to tell
}
