// Checks a directory that `ddgate export --format tlog` wrote with the code of Go's checksum
// database, which knows nothing of ddgate: golang.org/x/mod/sumdb/note and .../tlog.
//
// Every checkpoint is opened with the verifier key; every leaf is proven to be in the last tree, and
// every older tree to be a beginning of it, from the tiles alone. The one difference between
// Go's layout and C2SP's is the tile height in the path.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func must(err error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func refuse(what string) {
	must(fmt.Errorf("it does not hold"), what)
}

type tiles struct {
	dir  string
	read map[string]bool
}

func (t tiles) Height() int { return height }

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		bytes, err := os.ReadFile(filepath.Join(t.dir, path))
		if err != nil {
			return nil, err
		}
		t.read[path] = true
		found = append(found, bytes)
	}
	return found, nil
}

// The leaves of the first n, bundle by bundle.
func leaves(dir string, n int64) [][]byte {
	var all [][]byte
	for index := int64(0); index*256 < n; index++ {
		width := n - index*256
		if width > 256 {
			width = 256
		}
		tile := tlog.Tile{H: height, L: -1, N: index, W: int(width)}
		path := strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
		bytes, err := os.ReadFile(filepath.Join(dir, path))
		must(err, path)
		for ; width > 0; width-- {
			if len(bytes) < 2 || len(bytes) < 2+int(binary.BigEndian.Uint16(bytes)) {
				refuse(path)
			}
			end := 2 + int(binary.BigEndian.Uint16(bytes))
			all = append(all, bytes[2:end])
			bytes = bytes[end:]
		}
		if len(bytes) != 0 {
			refuse(path)
		}
	}
	return all
}

func main() {
	dir := os.Args[1]
	vkey, err := os.ReadFile(filepath.Join(dir, "vkey"))
	must(err, "vkey")
	verifier, err := note.NewVerifier(strings.TrimSuffix(string(vkey), "\n"))
	must(err, "vkey")

	names, err := filepath.Glob(filepath.Join(dir, "checkpoints", "*"))
	must(err, "checkpoints")
	var trees []tlog.Tree
	for _, name := range names {
		bytes, err := os.ReadFile(name)
		must(err, name)
		opened, err := note.Open(bytes, note.VerifierList(verifier))
		must(err, name)
		lines := strings.Split(opened.Text, "\n")
		if len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
			refuse(name)
		}
		size, err := strconv.ParseInt(lines[1], 10, 64)
		must(err, name)
		if filepath.Base(name) != fmt.Sprintf("%020d", size) {
			refuse(name)
		}
		root, err := base64.StdEncoding.DecodeString(lines[2])
		must(err, name)
		tree := tlog.Tree{N: size}
		copy(tree.Hash[:], root)
		trees = append(trees, tree)
	}
	sort.Slice(trees, func(a, b int) bool { return trees[a].N < trees[b].N })
	last := trees[len(trees)-1]

	source := tiles{dir, map[string]bool{}}
	hashes := tlog.TileHashReader(last, source)
	for _, tree := range trees {
		proof, err := tlog.ProveTree(last.N, tree.N, hashes)
		must(err, "proving an older tree")
		must(tlog.CheckTree(proof, last.N, last.Hash, tree.N, tree.Hash), "an older tree")
	}
	all := leaves(dir, last.N)
	for index, leaf := range all {
		proof, err := tlog.ProveRecord(last.N, int64(index), hashes)
		must(err, "proving a leaf")
		hash := tlog.RecordHash(leaf)
		must(tlog.CheckRecord(proof, last.N, last.Hash, int64(index), hash), "a leaf")
	}
	fmt.Printf("{\"checkpoints\":%d,\"leaves\":%d,\"tiles\":%d}\n", len(trees), len(all), len(source.read))
}
