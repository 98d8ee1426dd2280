import Figures

/// Rows beneath a head, in aligned columns. Columns without a word are left out.
func table(_ head: [String], _ rows: [[String]], isRight: Set<Int> = []) -> [String] {
  guard !rows.isEmpty else { return [] }
  let widths = head.indices.map { column in ([head] + rows).map { $0[column].count }.max() ?? 0 }
  return ([head] + rows).map { row in
    var line = ""
    for (column, cell) in row.enumerated() where widths[column] > 0 {
      line += "  " + (isRight.contains(column) ? Format.right(cell, widths[column]) : Format.padded(cell, widths[column]))
    }
    while line.hasSuffix(" ") { line.removeLast() }
    return line
  }
}
