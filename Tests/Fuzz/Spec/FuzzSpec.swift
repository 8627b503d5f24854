import RoostSpec

/// Any bytes as a spec: read or refused with places, never a crash; what is read once is read the same again.
@c(LLVMFuzzerTestOneInput)
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: size))
  do throws(SpecErrors) {
    let spec = try ClusterSpec(yaml: bytes, file: "fuzz")
    precondition(!spec.brokers.isEmpty && !spec.cluster.isEmpty)
    precondition(spec.brokers.allSatisfy { !$0.listeners.isEmpty })
  } catch {
    precondition(!error.errors.isEmpty && !error.description.isEmpty)
    precondition(error.errors.allSatisfy { $0.mark.line > 0 && $0.mark.column > 0 })
  }
  return 0
}
