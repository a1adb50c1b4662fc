// The ledger as golang.org/x/mod/sumdb sees it: an implementation of signed notes, tiles and proofs that is none of ours.
//
//	log FOLDER VKEY SEED   verifies the checkpoint, recomputes the root from the tiles, and checks proofs of random entries and sizes
//	make NAME SIZE         makes a key, a signed checkpoint over SIZE entries, their hashes and random proofs, as JSON
package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	mathrand "math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// must ends the program with the error, if there is one.
func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// folder reads tiles where C2SP tlog-tiles has them: as sumdb does, without the tiles' height in the path.
type folder string

func (f folder) Height() int { return 8 }

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range tiles {
		content, err := os.ReadFile(filepath.Join(string(f), strings.Replace(tile.Path(), "tile/8/", "tile/", 1)))
		if err != nil {
			return nil, err
		}
		found = append(found, content)
	}
	return found, nil
}

// entry reads an entry out of its bundle, which sumdb has in another form.
func (f folder) entry(index, size int64) []byte {
	width := size - index/256*256
	if width > 256 {
		width = 256
	}
	tile := tlog.Tile{H: 8, L: 0, N: index / 256, W: int(width)}
	bundle, err := os.ReadFile(filepath.Join(string(f), strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)))
	must(err)
	for ; index%256 > 0; index-- {
		bundle = bundle[2+int(bundle[0])<<8+int(bundle[1]):]
	}
	return bundle[2 : 2+int(bundle[0])<<8+int(bundle[1])]
}

// checkpoint reads the three lines of a tree head; sumdb's own have a first line that is fixed.
func checkpoint(text string) (string, tlog.Tree) {
	lines := strings.Split(text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	root, err := tlog.ParseHash(lines[2])
	must(err)
	return lines[0], tlog.Tree{N: size, Hash: root}
}

func log(path, vkey, seed string) {
	verifier, err := note.NewVerifier(vkey)
	must(err)
	content, err := os.ReadFile(filepath.Join(path, "checkpoint"))
	must(err)
	opened, err := note.Open(content, note.VerifierList(verifier))
	must(err)
	origin, tree := checkpoint(opened.Text)
	if origin != verifier.Name() {
		must(fmt.Errorf("origin %q, key %q", origin, verifier.Name()))
	}
	files := folder(path)
	reader := tlog.TileHashReader(tree, files)
	root, err := tlog.TreeHash(tree.N, reader)
	must(err)
	if root != tree.Hash {
		must(fmt.Errorf("the tiles give %v, the checkpoint %v", root, tree.Hash))
	}
	number, err := strconv.ParseInt(seed, 10, 64)
	must(err)
	random := mathrand.New(mathrand.NewSource(number))
	for i := 0; i < 50 && tree.N > 0; i++ {
		index, old := random.Int63n(tree.N), 1+random.Int63n(tree.N)
		inclusion, err := tlog.ProveRecord(tree.N, index, reader)
		must(err)
		must(tlog.CheckRecord(inclusion, tree.N, tree.Hash, index, tlog.RecordHash(files.entry(index, tree.N))))
		before, err := tlog.TreeHash(old, reader)
		must(err)
		consistency, err := tlog.ProveTree(tree.N, old, reader)
		must(err)
		must(tlog.CheckTree(consistency, tree.N, tree.Hash, old, before))
	}
	fmt.Printf("%s %d %v\n", origin, tree.N, tree.Hash)
}

// memory holds every hash of a tree, in the order in which sumdb stores them.
type memory []tlog.Hash

func (m memory) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, index := range indexes {
		found = append(found, m[index])
	}
	return found, nil
}

type proof struct {
	First  int64 // an index, or the older tree's size
	Root   string
	Hashes []string
}

func shown(hashes []tlog.Hash) []string {
	found := []string{}
	for _, hash := range hashes {
		found = append(found, hash.String())
	}
	return found
}

func create(name, words string) {
	size, err := strconv.ParseInt(words, 10, 64)
	must(err)
	skey, vkey, err := note.GenerateKey(rand.Reader, name)
	must(err)
	signer, err := note.NewSigner(skey)
	must(err)
	var held memory
	for i := int64(0); i < size; i++ {
		more, err := tlog.StoredHashes(i, []byte(fmt.Sprintf("entry %d", i)), held)
		must(err)
		held = append(held, more...)
	}
	root, err := tlog.TreeHash(size, held)
	must(err)
	text := fmt.Sprintf("%s\n%d\n%s\n", name, size, base64.StdEncoding.EncodeToString(root[:]))
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	must(err)
	var inclusion, consistency []proof
	for i := int64(0); i < size; i += 1 + size/50 {
		one, err := tlog.ProveRecord(size, i, held)
		must(err)
		inclusion = append(inclusion, proof{i, "", shown(one)})
		two, err := tlog.ProveTree(size, i+1, held)
		must(err)
		before, err := tlog.TreeHash(i+1, held)
		must(err)
		consistency = append(consistency, proof{i + 1, before.String(), shown(two)})
	}
	must(json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"skey": skey, "vkey": vkey, "checkpoint": string(signed), "inclusion": inclusion, "consistency": consistency,
	}))
}

func main() {
	if len(os.Args) == 5 && os.Args[1] == "log" {
		log(os.Args[2], os.Args[3], os.Args[4])
	} else if len(os.Args) == 4 && os.Args[1] == "make" {
		create(os.Args[2], os.Args[3])
	} else {
		must(fmt.Errorf("log FOLDER VKEY SEED, or make NAME SIZE"))
	}
}
