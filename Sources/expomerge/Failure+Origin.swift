import Diagnostics
import Recipes

/// What `body` gives of an option's value; what fails there tells where the value is from.
///
/// - Parameter isTyped: false for a command's value that is from the environment.
func from<Value>(_ option: String, isTyped: Bool = true, _ body: () throws(Failure) -> Value) throws(Failure) -> Value {
  do throws(Failure) {
    return try body()
  } catch {
    let usual = isTyped ? "--\(option)" : "$\(SettableOption(option).variable)"
    let origin = DaemonArguments.origin(of: option) ?? usual
    throw Failure(
      error.category,
      error.problems.map { problem in
        var problem = problem
        problem.remedy = problem.remedy.map { "\($0) (it is from \(origin))" } ?? "check \(origin)"
        return problem
      })
  }
}

/// What two give.
///
/// - Throws: all problems of both, and the category of the first.
func both<One, Other>(
  _ one: () throws(Failure) -> One, _ other: () throws(Failure) -> Other
) throws(Failure) -> (One, Other) {
  switch (Result(catching: one), Result(catching: other)) {
  case (.success(let one), .success(let other)): return (one, other)
  case (.failure(let one), .failure(let other)): throw Failure(one.category, one.problems + other.problems)
  case (.failure(let failure), _), (_, .failure(let failure)): throw failure
  }
}
