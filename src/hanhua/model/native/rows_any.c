/* For any processor. */
#include "rows.h"

#define TABLE rows_any
#include "rows_body.h"
