#pragma once

#include <unistd.h>

#include <cstdio>
#include <string>

#include "fakes.h"

// Where a plugin's errors arrive: the logger it was given, or stderr, where it has none or may not call it.
class Messages {
 public:
  Messages() {
    std::fflush(stderr);
    file_ = std::tmpfile();
    dup2(fileno(file_), STDERR_FILENO);
  }

  RecordingLogger* finder() { return &logger_; }

  std::string take_logged() { return logger_.take(); }

  std::string take_printed() {
    std::string text;
    std::rewind(file_);
    for (int c = std::fgetc(file_); c != EOF; c = std::fgetc(file_)) {
      text += static_cast<char>(c == '\n' || c == '\t' ? ' ' : c);
    }
    std::rewind(file_);
    if (ftruncate(fileno(file_), 0) != 0) {
      text += " (stderr was not emptied)";
    }
    return text;
  }

  std::string take() {
    std::string const printed = take_printed();
    std::string const logged = take_logged();
    return logged.empty() ? printed : logged;
  }

 private:
  RecordingLogger logger_;
  std::FILE* file_;
};
