#pragma once

#include <cstdio>
#include <string>

// Lines for the Python runner: "step<TAB>name", then one "ok<TAB>what" or "failed<TAB>what" per check.
class Report {
 public:
  void step(std::string const& name) {
    std::printf("step\t%s\n", name.c_str());
    std::fflush(stdout);  // a crash must not swallow the step it happened in
  }

  bool check(bool ok, std::string const& what) {
    std::printf("%s\t%s\n", ok ? "ok" : "failed", what.c_str());
    failed_ = failed_ || !ok;
    return ok;
  }

  bool failed() const { return failed_; }

 private:
  bool failed_ = false;
};
