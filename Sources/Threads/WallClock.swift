import Glibc

/// Milliseconds since 1970. Anybody may set this clock, so it is shown to people and never decided on.
public func wallMilliseconds() -> Int {
  var time = timespec()
  clock_gettime(CLOCK_REALTIME, &time)
  return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}
