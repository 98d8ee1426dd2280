import Glibc

/// Nanoseconds of a clock that counts suspended time and that nobody sets; CLOCK_BOOTTIME of clock_gettime(2).
public func bootNanoseconds() -> Int64 {
  var time = timespec()
  clock_gettime(CLOCK_BOOTTIME, &time)
  return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}
