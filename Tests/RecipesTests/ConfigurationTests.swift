import Diagnostics
import Recipes
import Testing

@Suite("Configuration of daemons")
struct ConfigurationTests {
  static let listen = SettableOption("listen")
  static let data = SettableOption("listen-data")
  static let roots = SettableOption("root", .list)
  static let insecure = SettableOption("insecure", .flag)
  static let options = [listen, data, roots, insecure]

  func file(_ text: String) throws -> ConfigurationFile { try ConfigurationFile(text, file: "c.yaml", options: Self.options) }

  func settings(
    _ typed: [String] = [], _ environment: [String: String] = [:], file text: String? = nil
  ) throws -> Configuration {
    try Configuration(options: Self.options, typed: typed, environment: environment, file: text.map(file))
  }

  func refusal(_ work: () throws -> Void) -> Problem? {
    do {
      try work()
      return nil
    } catch {
      let failure = error as? Failure
      #expect(failure?.category == .badRecipe)
      #expect(failure?.problems.first?.code == .configurationInvalid)
      return failure?.problems.first
    }
  }

  @Test("the command line comes before the environment, that before the file, and each says where a value is from")
  func precedence() throws {
    let file = "listen: file\nlisten_data: file\nroot: [/f, /g]\ninsecure: true\n"
    let all = try settings(["--listen=typed"], ["EXPOMERGE_LISTEN": "variable", "EXPOMERGE_LISTEN_DATA": "variable"], file: file)
    #expect(
      all.settings == [
        Setting(Self.listen, ["typed"], .commandLine), Setting(Self.data, ["variable"], .environment("EXPOMERGE_LISTEN_DATA")),
        Setting(Self.roots, ["/f", "/g"], .file("c.yaml", line: 3)), Setting(Self.insecure, ["true"], .file("c.yaml", line: 4)),
      ])
    #expect(all.words == ["--listen-data=variable", "--root=/f", "--root=/g", "--insecure"])
    #expect(try settings(["--listen", "typed"], ["EXPOMERGE_LISTEN": "variable"]).words == [])
    #expect(try settings(["--", "--listen", "typed"], ["EXPOMERGE_LISTEN": "variable"]).words == ["--listen=variable"])
    #expect(try settings([], [:]).settings.isEmpty)
    for nothing in ["", "\n", "# listen: tcp://*:5755\n"] { #expect(try settings(file: nothing).settings.isEmpty) }
  }

  @Test("a list of one place replaces that of another")
  func lists() throws {
    let file = "root: [/f, /g]"
    #expect(try settings(["--root", "/a", "--root=/b"], file: file).settings.map(\.values) == [["/a", "/b"]])
    #expect(try settings([], ["EXPOMERGE_ROOT": "/a:/b"], file: file).words == ["--root=/a", "--root=/b"])
    #expect(try settings([], ["EXPOMERGE_ROOT": "/a:b\n/c\n"], file: file).words == ["--root=/a:b", "--root=/c"])
    #expect(try settings(file: "root: /one").words == ["--root=/one"])
    #expect(refusal { _ = try settings(file: "root: []") }?.message == "line 1: root has no value")
    for nothing in [":", "::", "\n"] {
      #expect(refusal { _ = try settings([], ["EXPOMERGE_ROOT": nothing], file: file) }?.message.contains("a list of nothing") == true)
    }
  }

  @Test("flags can be taken back; an empty variable says nothing")
  func flags() throws {
    for text in ["false", "NO", "off", "0"] {
      let configuration = try settings([], ["EXPOMERGE_INSECURE": text], file: "insecure: true")
      #expect(configuration.settings.map(\.values) == [["false"]])
      #expect(configuration.words.isEmpty)
    }
    for text in ["true", "Yes", "on", "1", ""] {
      #expect(try settings([], ["EXPOMERGE_INSECURE": text], file: "insecure: true").words == ["--insecure"])
    }
    let refusal = refusal { _ = try settings([], ["EXPOMERGE_INSECURE": "perhaps"]) }
    #expect(refusal?.message == "EXPOMERGE_INSECURE is 'perhaps'")
  }

  @Test("what a file has that is no option is named with its line, and what was meant")
  func refusals() {
    let unknown = refusal { _ = try file("listen: a\nlistn-data: b") }
    #expect(unknown?.description == "c.yaml: line 2: there is no key 'listn-data'; did you mean listen-data?")
    #expect(refusal { _ = try file("listen-data: a\nlisten_data: b") }?.message == "line 2: listen_data is there twice")
    let twice = refusal { _ = try file("insecure: true\nlisten: a\nlisten: b") }
    #expect(twice?.description == "c.yaml: line 2: listen is there twice; remove one of them")
    #expect(refusal { _ = try file("listen: [a, b]") }?.message == "line 1: listen is not a single value")
    #expect(refusal { _ = try file("listen:") }?.message == "line 1: listen has no value")
    #expect(refusal { _ = try file("insecure: perhaps") }?.message == "line 1: insecure is 'perhaps', not true or false")
    let several = #expect(throws: Failure.self) { try file("listen:\nlistn-data: b\nroot: /r\ninsecure: perhaps") }
    #expect(several?.problems.map { $0.message.prefix(8) } == ["line 1: ", "line 2: ", "line 4: "])
    #expect(refusal { _ = try file("- listen") }?.message.contains("is not a map") == true)
    #expect(refusal { _ = try file("root: [{a: b}]") }?.message == "line 1: root is not a single value")
  }

  @Test("of a parser's message, the options that are not typed are at fault where it names them")
  func blame() throws {
    let file = "listen: x\nroot: [/f, g]\n"
    let all = try settings(["--root=/a"], ["EXPOMERGE_LISTEN_DATA": "y"], file: file)
    func problems(_ message: String, _ configuration: Configuration) -> [String] {
      configuration.settings(blamedBy: message).map { $0.problem(message, help: "help").description }
    }
    #expect(problems("The value 'x' is invalid for '--listen <address>'", all) == ["c.yaml: line 1: listen is 'x'; help"])
    #expect(problems("The value 'y' is invalid for '--listen-data <address>'", all) == ["EXPOMERGE_LISTEN_DATA is 'y'; help"])
    #expect(problems("--listen and --listen-data differ.", all).map { $0.hasSuffix(": --listen and --listen-data differ") } == [true, true])
    for message in ["--root must be a path.", "Unknown option '--listne'. Did you mean '--listen'?", "Missing expected argument '--state <dir>'"] {
      #expect(problems(message, all).isEmpty)
    }
    #expect(problems("The value 'g' is invalid for '--root <dir>'", try settings(file: file)) == ["c.yaml: line 2: root is 'g'; help"])
    var (less, typed) = (all, ["--root=/a", "--listen", "z"])
    less.remove(all.settings(blamedBy: "--listen must be another."), typed: &typed)
    #expect(less.words == ["--listen-data=y"] && typed == ["--root=/a"])
    typed = ["--insecure", "--root", "/a", "--roots", "--root=/b", "--", "--root"]
    less.remove(all.settings(blamedBy: "--root must be a path.", typed: true), typed: &typed)
    #expect(typed == ["--insecure", "--roots", "--", "--root"])
  }

  @Test("variables that mean nothing are warned about, with the nearest; those of Kubernetes are not")
  func warnings() throws {
    let environment = [
      "EXPOMERGE_LISTEN_DATE": "x", "EXPOMERGE_OTHER": "x", "HOME": "x", "EXPOMERGE_PORT": "tcp://10.0.0.1:5755",
      "EXPOMERGE_PORT_5755_TCP_ADDR": "10.0.0.1", "EXPOMERGE_SERVICE_HOST": "10.0.0.1", "EXPOMERGE_SERVICE_PORT_DATA": "5756",
      "EXPOMERGE_XXXXXXXXXXXXXXXXXXXXXXXXXX": "x",
    ]
    let configuration = try Configuration(
      options: Self.options, typed: [], environment: environment, otherVariables: ["EXPOMERGE_OTHER"])
    #expect(configuration.settings.isEmpty)
    #expect(configuration.warnings.map(\.code) == [.variableUnknown, .variableUnknown])
    #expect(configuration.warnings.map(\.remedy) == ["did you mean EXPOMERGE_LISTEN_DATA?", "unset it"])
  }
}
