package compose

import (
	"errors"
	"fmt"
	"strings"

	"gopura/exchange"
	"gopura/expr"
)

// askedInVain is the error of an answer that failed because the client's
// request lacks what the call k is asked with: no service is to blame then.
// Nil: that is not the reason.
func (k *call) askedInVain(err *exchange.Error) *exchange.Error {
	if err.Code != exchange.PartInput.Name {
		return nil
	}
	var missing *expr.Missing
	inBody := errors.As(err.Err, &missing) && missing.Of == bodyName
	if !inBody && len(k.waitsFor()) > 0 {
		return nil
	}
	e := exchange.RequestInvalid.Because(fmt.Errorf("%s: %w", k.name, err))
	e.Part, e.Detail = k.name, fmt.Sprintf("The part %q could not be asked for, because what to ask with is missing in the request.", k.name)
	if inBody {
		e.Flaws = []exchange.Flaw{{Pointer: "#" + pointerOf(missing.Path[len(bodyName):]), Detail: "is missing"}}
	}
	return e
}

// pointerOf writes a path of an expression, .items[0].id, as a JSON Pointer.
func pointerOf(path string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", ".", "/", "[", "/", "]", "").Replace(path)
}
