import Checkpoint
import Diagnostics
import SystemPackage
import TestSupport
import Testing

@Suite("Models by their names")
struct ModelReferenceTests {
  let cache = TemporaryFolder()
  let commit = "0123456789abcdef0123456789abcdef01234567"

  /// As huggingface_hub lays it out.
  init() {
    cache.write("blob", to: "models--org--some.model-7B/blobs/abc")
    cache.write("{}", to: "models--org--some.model-7B/snapshots/\(commit)/config.json")
    cache.write(commit, to: "models--org--some.model-7B/refs/main")
    cache.write(commit + "\n", to: "models--org--some.model-7B/refs/refs/pr/1")
    cache.write("fedcba", to: "models--org--some.model-7B/refs/gone")
    cache.write("../../../etc", to: "models--org--some.model-7B/refs/evil")
  }

  func path(_ text: String) throws -> FilePath { try ModelReference(text).path(cache: cache.path) }

  func refusal(_ text: String) -> Problem? {
    do {
      _ = try path(text)
      return nil
    } catch {
      #expect((error as? Failure)?.category == .inputNotFound)
      return (error as? Failure)?.problems.first
    }
  }

  @Test("are looked for in the cache, by branch, by reference and by commit")
  func found() throws {
    let snapshot = cache("models--org--some.model-7B/snapshots/\(commit)")
    for revision in ["", "@main", "@refs/pr/1", "@\(commit)"] { #expect(try path("org/some.model-7B\(revision)") == snapshot) }
  }

  @Test("what is not there comes with the command that downloads it")
  func missing() {
    #expect(refusal("org/other")?.remedy == "check the path, or download the model with: hf download org/other")
    #expect(refusal("org/some.model-7B@v2")?.remedy == "check the path, or download the model with: hf download org/some.model-7B --revision v2")
    #expect(refusal("org/some.model-7B@gone")?.code == .modelNotCached)
    // A reference that leads out of the cache is none.
    #expect(refusal("org/some.model-7B@evil")?.code == .modelNotCached)
  }

  @Test(
    "all else are paths",
    arguments: ["/models/sft", "models/sft/7b", "./sft", "../a/b", "a/../b", "-x/y", "a--b/c", "org/", "sft", "a b/c", "org/m@", "org/m@../x"])
  func paths(text: String) throws {
    #expect(try path(text) == FilePath(text))
  }

  @Test("a path that is there comes first, unless somebody else has written it")
  func pathsFirst() throws {
    let folder = TemporaryFolder()
    folder.write("x", to: "org/some.model-7B")
    // The test's own current folder must not change: the reference is absolute here, and so a path.
    let text = folder("org/some.model-7B").string
    #expect(try path(text) == FilePath(text))
    #expect(try ModelReference("org/some.model-7B").path(cache: cache.path, takesRelativePaths: false) != "org/some.model-7B")
  }

  @Test("the cache is where the variables say, in the order of huggingface_hub")
  func folder() {
    func folder(_ variables: [String: String]) -> FilePath? { ModelCache.folder { variables[$0] } }
    #expect(folder(["HF_HUB_CACHE": "/a", "HF_HOME": "/b", "HOME": "/c"]) == "/a")
    #expect(folder(["HUGGINGFACE_HUB_CACHE": "/a", "HF_HOME": "/b"]) == "/a")
    #expect(folder(["HF_HOME": "/b", "XDG_CACHE_HOME": "/x"]) == "/b/hub")
    #expect(folder(["HF_HOME": "", "XDG_CACHE_HOME": "/x"]) == "/x/huggingface/hub")
    #expect(folder(["HOME": "/c"]) == "/c/.cache/huggingface/hub")
    #expect(folder([:]) == nil)
  }
}
