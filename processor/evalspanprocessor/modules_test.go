package evalspanprocessor

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every Collector module is of one release: the stable ones have their own major version. A tidy
// can pull in a newer minor for one module without a word.
func TestCollectorModulesAreOfOneRelease(t *testing.T) {
	file, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	module := regexp.MustCompile(
		`(go\.opentelemetry\.io/collector\S*|github\.com/open-telemetry/opentelemetry-collector-contrib\S*) (v\S+)`)
	found := module.FindAllStringSubmatch(string(file), -1)
	require.Greater(t, len(found), 20)
	for _, match := range found {
		assert.Contains(t, []string{"v1.66.0", "v0.160.0"}, match[2], match[1])
	}
}

// The builder manifest names the same release.
func TestBuilderManifestIsOfTheSameRelease(t *testing.T) {
	file, err := os.ReadFile("../../collector-config/builder.yaml")
	require.NoError(t, err)
	module := regexp.MustCompile(`gomod: (\S*opentelemetry\S*) (v\S+)`)
	found := module.FindAllStringSubmatch(string(file), -1)
	require.Greater(t, len(found), 10)
	for _, match := range found {
		assert.Contains(t, []string{"v1.66.0", "v0.160.0"}, match[2], match[1])
	}
}
