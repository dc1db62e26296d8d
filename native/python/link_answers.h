/* The answers of a template to what its caller has asked: PlainLink._receive(). */
#pragma once

#include "plain_link.h"

PyObject *core_link_receive(LinkObject *self, PyObject *args);
