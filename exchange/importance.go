package exchange

import "fmt"

// Importance says which exchanges are given up first when not all can be
// served. The zero value is that of most.
type Importance int8

const (
	Background Importance = iota - 2 // may fail and be done later: crawlers, prefetches, batches
	Low
	Normal
	Critical // given up last: logins, payments
)

// Importances is how many there are; Index numbers them from 0, the least.
const Importances = 4

var importances = [Importances]string{"background", "low", "normal", "critical"}

// Index is the place of i among all, the least important first.
func (i Importance) Index() int { return int(i - Background) }

// String returns the word that configurations and metrics have for i.
func (i Importance) String() string { return importances[i.Index()] }

// ParseImportance reads what String writes.
func ParseImportance(word string) (Importance, error) {
	for i, w := range importances {
		if w == word {
			return Background + Importance(i), nil
		}
	}
	return Normal, fmt.Errorf("%q is not critical, normal, low or background", word)
}
