#pragma once

#include "messages.h"
#include "report.h"
#include "subject.h"

// Everything one plugin is asked between its creator and its end, in the order TensorRT would ask.
void check_plugin(Report& report, Messages& messages, nvinfer1::IPluginCreatorV3One& creator, Subject const& subject);
