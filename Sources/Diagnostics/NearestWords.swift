/// Those of some words that one might have meant by another, nearest first.
///
/// - Returns: at most `count`, fewer where the others have little in common with it.
public func nearestWords(to word: String, among words: some Sequence<String>, count: Int = 1) -> [String] {
  // Fewer of the others are near where the word is short.
  let candidates = words.map { (word: $0, distance: editDistance(word, $0)) }
    .filter { $0.distance <= max(word.utf8.count, $0.word.utf8.count) / 2 }
    .sorted { ($0.distance, $0.word) < ($1.distance, $1.word) }
  return candidates.prefix(count).map(\.word)
}

/// How many bytes must be inserted, removed or replaced to make one of the other (Levenshtein).
func editDistance(_ one: String, _ other: String) -> Int {
  let other = Array(other.utf8)
  var row = Array(0...other.count)
  for (i, byte) in one.utf8.enumerated() {
    var diagonal = row[0]
    row[0] = i + 1
    for j in other.indices {
      let replaced = diagonal + (byte == other[j] ? 0 : 1)
      diagonal = row[j + 1]
      row[j + 1] = min(replaced, row[j] + 1, diagonal + 1)
    }
  }
  return row[other.count]
}
