import SystemPackage
import TestSupport
import Testing

@testable import Worker

@Suite struct RootsTests {
  let folder = TemporaryFolder()

  /// Where a path leads, with the links in the temporary folder's own path followed.
  func found(_ name: String) -> Roots.Finding { .found(folder.path.pushing(FilePath(name))) }

  @Test("a file under a root is found, one beside it is outside, one that is not there is missing")
  func roots() {
    folder.write("a", to: "in/model.safetensors")
    folder.write("b", to: "inner/model.safetensors")
    let roots = Roots([folder("in")])
    #expect(roots.find(folder("in/model.safetensors")) == found("in/model.safetensors"))
    // Not a root, though its path begins with the same letters.
    #expect(roots.find(folder("inner/model.safetensors")) == .outside(folder("inner/model.safetensors")))
    #expect(roots.find(folder("in/other")) == .missing)
  }

  @Test("dots and links do not lead out of a root")
  func escapes() throws {
    folder.write("secret", to: "out/secret")
    folder.makeFolder(folder("in"))
    try FileSystem.link(folder("in/link"), to: folder("out/secret"))
    let roots = Roots([folder("in")])
    #expect(roots.find(folder("in/../out/secret")) == .outside(folder("out/secret")))
    #expect(roots.find(folder("in/link")) == .outside(folder("out/secret")))
  }

  @Test("the most specific mapping counts")
  func mappings() {
    folder.write("a", to: "here/sft/x")
    folder.write("b", to: "elsewhere/y")
    let roots = Roots(
      ["/"],
      mappings: [
        .init(from: "/models", to: folder("here")), .init(from: "/models/aligned", to: folder("elsewhere")),
      ])
    #expect(roots.find("/models/sft/x") == found("here/sft/x"))
    #expect(roots.find("/models/aligned/y") == found("elsewhere/y"))
    #expect(roots.find("/modelsuite/x") == .missing)
  }

  @Test("without roots nothing is looked for")
  func none() {
    folder.write("a", to: "x")
    #expect(Roots([]).find(folder("x")) == .missing)
  }
}
