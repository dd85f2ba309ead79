package evalspanprocessor

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func TestReadmeHasEverySetting(t *testing.T) {
	readme := readText(t, "README.md")
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		name, _, _ := strings.Cut(field.Tag.Get("mapstructure"), ",")
		if name != "" {
			assert.Contains(t, readme, "| `"+name+"` |")
		}
	}
	for _, which := range []Select{SelectGenAI, SelectTrace, SelectAll} {
		assert.Contains(t, readme, "| `"+string(which)+"` |")
	}
}

func TestReadmeHasEveryMetric(t *testing.T) {
	readme := readText(t, "README.md")
	metrics := regexp.MustCompile(`### otelcol_processor_evalspan(_\w+)`).
		FindAllStringSubmatch(readText(t, "documentation.md"), -1)
	require.Len(t, metrics, 5)
	for _, metric := range metrics {
		assert.Contains(t, readme, metric[1]+"`")
	}
}

func TestEveryReasonIsDocumented(t *testing.T) {
	documentation := readText(t, "documentation.md")
	for _, why := range []reason{
		reasonQueueFull, reasonPipelineRefused, reasonTooLarge, reasonStorage, reasonStopped,
	} {
		assert.Contains(t, documentation, "`"+string(why)+"`")
	}
}
