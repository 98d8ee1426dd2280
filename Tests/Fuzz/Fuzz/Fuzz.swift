import FuzzTargets
import Glibc

/// Called by libFuzzer (https://llvm.org/docs/LibFuzzer.html) with one input after another; which parser gets them is said by
/// `EXPOMERGE_FUZZ_TARGET`.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  target.run(UnsafeRawBufferPointer(start: data, count: size))
  return 0
}

private let target: FuzzTarget = {
  guard let name = getenv("EXPOMERGE_FUZZ_TARGET").map({ String(cString: $0) }), let target = FuzzTarget(rawValue: name) else {
    let message = "error: EXPOMERGE_FUZZ_TARGET must be one of \(FuzzTarget.allCases.map(\.rawValue).joined(separator: ", "))\n"
    _ = message.withCString { write(2, $0, strlen($0)) }
    exit(64)
  }
  return target
}()
