package upstream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"gopura/exchange"
)

// grpcCheck is a call of grpc.health.v1.Health/Check. Its messages have one field
// each, so they are written and read by hand.
func (s *Service) grpcCheck(spec TransportSpec) exchange.Request {
	req := checkRequest(spec, "POST", []byte("/grpc.health.v1.Health/Check"))
	req.Header.Add("Content-Type", "application/grpc")
	req.Trailers = true
	var message []byte
	if name := s.set.Health.Service; name != "" {
		message = append(message, 1<<3|2) // string service = 1
		message = binary.AppendUvarint(message, uint64(len(name)))
		message = append(message, name...)
	}
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	req.Body = exchange.BytesBody(append(frame, message...))
	return req
}

// grpcAnswer reads the answer to a check.
func (s *Service) grpcAnswer(x *exchange.Exchange) error {
	r := &x.Response
	if r.Body == nil {
		r.Body = exchange.NoBody
	}
	defer x.DropResponse()
	message, err := exchange.ReadAll(r.Body, maxCheckBody)
	if err != nil {
		return err
	}
	if r.Status != 200 {
		return fmt.Errorf("status %d", r.Status)
	}
	status, text := r.Header.Get(grpcStatus), r.Header.Get("Grpc-Message")
	if status == nil {
		_, end := r.Body.Next() // the trailers are there after it
		t := r.Body.Trailer()
		if end != io.EOF || t == nil {
			return errors.New("the answer has no grpc-status")
		}
		status, text = t.Get(grpcStatus), t.Get("Grpc-Message")
	}
	if code := exchange.ParseGRPCStatus(status); code != exchange.GRPCOK {
		return fmt.Errorf("%s: %.100q", code, exchange.ParseGRPCMessage(text))
	}
	return servingStatus(message)
}

// servingStatus reads a framed HealthCheckResponse: ServingStatus status = 1.
func servingStatus(b []byte) error {
	if len(b) < 5 || b[0] != 0 || int(binary.BigEndian.Uint32(b[1:])) != len(b)-5 {
		return errors.New("the answer is no message of gRPC")
	}
	const serving = 1
	status := uint64(0)
	for b = b[5:]; len(b) > 0; {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag != 1<<3 {
			return errors.New("the answer is no HealthCheckResponse")
		}
		b = b[n:]
		if status, n = binary.Uvarint(b); n <= 0 {
			return errors.New("the answer is no HealthCheckResponse")
		}
		b = b[n:]
	}
	if status == serving {
		return nil
	}
	if names := [...]string{"UNKNOWN", "", "NOT_SERVING", "SERVICE_UNKNOWN"}; status < uint64(len(names)) {
		return fmt.Errorf("the target says %s", names[status])
	}
	return fmt.Errorf("the target says status %d", status)
}
